//! Parses `APP:VERSION`, the name of a migration on the command line.

use std::str::FromStr;

/// A migration of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The app's label.
    pub app: String,
    /// The migration version.
    pub version: i64,
}

impl FromStr for Target {
    type Err = String;

    // The messages do not quote the text: it may be a URL with a password, and a part
    // of a URL would not be recognised and hidden.
    fn from_str(text: &str) -> Result<Self, String> {
        let Some((app, version)) = text.split_once(':') else {
            return Err("write APP:VERSION, for example main:V3".to_owned());
        };
        if app.is_empty() {
            return Err(
                "the app is missing before the colon: write APP:VERSION, for example main:V3".to_owned()
            );
        }
        // A file name such as `V3__x.sql` is accepted too, because it is easy to copy.
        let number = version.split_once("__").map_or(version, |(number, _)| number);
        let digits = number.strip_prefix(['V', 'U', 'v', 'u']).unwrap_or(number);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err("the text after the colon is not a migration version: write V3, U3 or 3".to_owned());
        }
        let version = digits.parse().map_err(|_| format!("the version `{digits}` is too large"))?;
        Ok(Target { app: app.to_owned(), version })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_in_every_spelling() {
        for text in ["main:V3", "main:U3", "main:3", "main:003", "main:v3", "main:V3__create_users"] {
            assert_eq!(text.parse(), Ok(Target { app: "main".to_owned(), version: 3 }), "{text}");
        }
    }

    #[test]
    fn mistakes_are_explained() {
        for (text, part) in [
            ("V3", "APP:VERSION"),
            (":V3", "the app is missing"),
            ("main:", "not a migration version"),
            ("main:W3", "write V3, U3 or 3"),
            ("main:-3", "not a migration version"),
            ("main:99999999999999999999", "too large"),
        ] {
            let error = text.parse::<Target>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
