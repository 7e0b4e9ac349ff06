//! Removes secrets from messages of libraries. Bustard's own messages never contain a
//! secret, but a parser quotes the text that it rejects, which may be a URL with a
//! password.

const HIDDEN: &str = "***";

/// Hides passwords in a text that may quote a URL: the text between `://` and the last
/// `@` of its line, and the value after `password=`. It may hide more than the password.
pub fn hide_secrets(text: &str) -> String {
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
    fn passwords_are_hidden() {
        for (text, expected) in [
            ("postgres://u:p@h/db", "postgres://***@h/db"),
            ("'postgres://u:p@ss:w@h/db' is wrong", "'postgres://***@h/db' is wrong"),
            ("postgres://h/db?user=u&password=p&a=b", "postgres://h/db?user=u&password=***&a=b"),
            ("sqlite:forum.sqlite", "sqlite:forum.sqlite"),
            ("postgres://h/db", "postgres://h/db"),
            ("see a://b\npostgres://u:p@h", "see a://b\npostgres://***@h"),
        ] {
            assert_eq!(hide_secrets(text), expected);
        }
    }
}
