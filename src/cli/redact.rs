//! Takes secrets out of text that somebody else wrote. Our own messages never
//! contain one; but clap and the TOML parser quote what they reject, and what
//! they reject may be a URL with a password.

use std::ffi::OsString;

const HIDDEN: &str = "***";

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
        let hidden = secrets(value);
        if hidden != value {
            text = text.replace(value, &hidden);
        }
    }
    text
}

/// Hides what stands between `://` and the last `@` of its line, and what
/// follows `password=`. Rather too much than too little.
pub fn secrets(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(line).collect();
    lines.join("\n")
}

fn line(line: &str) -> String {
    let line = match line.split_once("://") {
        Some((scheme, rest)) => match rest.rsplit_once('@') {
            Some((_, rest)) => format!("{scheme}://{HIDDEN}@{rest}"),
            None => line.to_owned(),
        },
        None => line.to_owned(),
    };
    let Some((before, secret)) = line.split_once("password=") else { return line };
    let end = secret.find(|c: char| c.is_whitespace() || "&'\"`".contains(c)).unwrap_or(secret.len());
    format!("{before}password={HIDDEN}{}", &secret[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_go() {
        for (text, expected) in [
            ("postgres://u:p@h/db", "postgres://***@h/db"),
            ("'postgres://u:p@ss:w@h/db' is wrong", "'postgres://***@h/db' is wrong"),
            ("postgres://h/db?user=u&password=p&a=b", "postgres://h/db?user=u&password=***&a=b"),
            ("sqlite:forum.sqlite", "sqlite:forum.sqlite"),
            ("postgres://h/db", "postgres://h/db"),
            ("see a://b\npostgres://u:p@h", "see a://b\npostgres://***@h"),
        ] {
            assert_eq!(secrets(text), expected);
        }
    }

    #[test]
    fn arguments_are_hidden_as_they_were_quoted() {
        let given = ["bustard", "--lock-wait=postgres://u:p@h", "check"].map(OsString::from);
        let text = "invalid value 'postgres://u:p@h' for '--lock-wait <DURATION>'";
        assert_eq!(arguments(text, &given), "invalid value 'postgres://***@h' for '--lock-wait <DURATION>'");
    }
}
