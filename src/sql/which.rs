//! References to migrations of an app, as in the directives `depends on` and `required by`.

/// The migrations of an app that a reference names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// All migrations of the app.
    All,
    Version(i64),
    /// The repeatable migration with this name.
    Repeatable(String),
}

impl Which {
    /// Parses the text of a directive: a version, or `R__name`.
    pub(crate) fn parse(text: &str) -> Option<Which> {
        match text.strip_prefix("R__") {
            Some("") => None,
            Some(name) => Some(Which::Repeatable(name.to_owned())),
            None => parse_version(text).map(Which::Version),
        }
    }

    /// Returns the text that follows the app in a directive: a blank and the version or
    /// `R__name`. The text is empty for all migrations.
    pub(crate) fn suffix(&self) -> String {
        match self {
            Which::All => String::new(),
            Which::Version(version) => format!(" {version}"),
            Which::Repeatable(name) => format!(" R__{name}"),
        }
    }

    pub(crate) fn version(&self) -> Option<i64> {
        match self {
            Which::Version(version) => Some(*version),
            Which::All | Which::Repeatable(_) => None,
        }
    }
}

/// Parses a migration version in any of its spellings: `V1`, `U1` or `1`.
pub(crate) fn parse_version(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['V', 'U', 'v', 'u']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_named_by_version_or_name() {
        for (text, which) in [
            ("V3", Some(Which::Version(3))),
            ("R__user_names", Some(Which::Repeatable("user_names".into()))),
            ("R__", None),
            ("R1__x", None),
            ("r__x", None),
        ] {
            assert_eq!(Which::parse(text), which, "{text}");
        }
    }

    #[test]
    fn versions_are_read_in_three_spellings() {
        for text in ["V1", "U1", "1", "001"] {
            assert_eq!(parse_version(text), Some(1), "{text}");
        }
        for text in ["", "V", "W1", "-1", "1.5", "+1", "99999999999999999999"] {
            assert_eq!(parse_version(text), None, "{text}");
        }
    }
}
