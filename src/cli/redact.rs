//! Removes secrets from the messages of clap. Clap quotes the argument that it
//! rejects, which may be a URL with a password.

use std::ffi::OsString;

use bustard::config::hide_secrets;

/// Hides secrets in `text`: every argument that seems to contain one is replaced
/// wherever it occurs.
pub fn arguments(text: &str, arguments: &[OsString]) -> String {
    let mut text = text.to_owned();
    for argument in arguments.iter().skip(1) {
        let argument = argument.to_string_lossy();
        // Clap quotes `--option=value` as a whole, or only its value.
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
