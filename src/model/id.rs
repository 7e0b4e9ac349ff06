//! What a migration is called within its app.

use std::fmt;

/// How a migration may be applied: in order, whenever, or again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Prefix {
    /// `V`: in the order of versions.
    V,
    /// `U`: also after later versions.
    U,
    /// `R`: whenever its text has changed, after all versions.
    R,
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Prefix::V => "V",
            Prefix::U => "U",
            Prefix::R => "R",
        })
    }
}

/// A migration's version and name within its app, written `V1__create_users`, or
/// `R__user_names` for a repeatable one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct MigrationId {
    /// The migration version; 0 for a repeatable migration, which has none.
    pub version: i64,
    /// Whether it may be applied out of order, or again.
    pub prefix: Prefix,
    /// The name.
    pub name: String,
}

impl fmt::Display for MigrationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix {
            Prefix::R => write!(f, "R__{}", self.name),
            prefix => write!(f, "{prefix}{}__{}", self.version, self.name),
        }
    }
}

impl MigrationId {
    pub(crate) fn repeatable(name: impl Into<String>) -> Self {
        MigrationId { version: 0, prefix: Prefix::R, name: name.into() }
    }

    /// Whether it is a repeatable migration, which is told by its name alone.
    pub fn is_repeatable(&self) -> bool {
        self.prefix == Prefix::R
    }

    /// How it is named in short: `V1`, or `R__user_names`.
    pub(crate) fn short(&self) -> String {
        match self.prefix {
            Prefix::R => self.to_string(),
            prefix => format!("{prefix}{}", self.version),
        }
    }
}

/// Which of an app's migrations another one names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// All of them.
    All,
    Version(i64),
    /// The repeatable one with this name.
    Repeatable(String),
}

impl Which {
    /// Reads it as directives have it: a version, or `R__name`.
    pub(crate) fn parse(text: &str) -> Option<Which> {
        match text.strip_prefix("R__") {
            Some("") => None,
            Some(name) => Some(Which::Repeatable(name.to_owned())),
            None => parse_version(text).map(Which::Version),
        }
    }

    /// How directives have it, after a blank; nothing for all of them.
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

/// Reads a migration version as it is written everywhere: `V1`, `U1` or `1`.
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
    fn a_repeatable_migration_shows_no_version() {
        let id = MigrationId::repeatable("user_names");
        assert_eq!((id.to_string(), id.short()), ("R__user_names".into(), "R__user_names".into()));
        let id = MigrationId { version: 7, prefix: Prefix::U, name: "x".into() };
        assert_eq!((id.to_string(), id.short()), ("U7__x".into(), "U7".into()));
    }

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
