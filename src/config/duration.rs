//! Parses durations of the command line and of `bustard.toml`.

use std::time::Duration;

/// Parses a duration such as `15m`, `90s`, `1h30m` or `500ms`.
///
/// # Errors
///
/// Returns a message that shows how to write a duration.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    crate::store::parse_duration(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, milliseconds) in [
            ("15m", 900_000),
            ("90s", 90_000),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            ("500ms", 500),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "15", "m", "-1s", "1.s", "soon"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
