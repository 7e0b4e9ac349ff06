//! Takes secrets out of what clap says: it quotes what it rejects, and what it
//! rejects may be a URL with a password.

use std::ffi::OsString;

use bustard::config::hide_secrets;

/// Hides the command-line arguments that look like they hold a secret wherever
/// they appear in `text`.
pub fn arguments(text: &str, arguments: &[OsString]) -> String {
    let mut text = text.to_owned();
    for argument in arguments.iter().skip(1) {
        let argument = argument.to_string_lossy();
        // `--option=value` is quoted as a whole or by its value.
        let value = match argument.split_once('=') {
            Some((name, value)) if name.starts_with('-') => value,
            _ => &*argument,
        };
        let hidden = hide_secrets(value);
        if hidden != value {
            text = text.replace(value, &hidden);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_hidden_as_they_were_quoted() {
        let given = ["bustard", "--lock-wait=postgres://u:p@h", "check"].map(OsString::from);
        let text = "invalid value 'postgres://u:p@h' for '--lock-wait <DURATION>'";
        assert_eq!(arguments(text, &given), "invalid value 'postgres://***@h' for '--lock-wait <DURATION>'");
    }
}
