//! The version and name of a migration within its app.
//!
//! In: the name of a file, or the argument of a directive. Out: a `MigrationId`, or a
//! reference to a migration.

use std::fmt;

/// The kind of a migration, which decides when it may be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Prefix {
    /// `V`: a versioned migration, applied in the order of versions.
    V,
    /// `U`: a versioned migration that may be applied after later versions.
    U,
    /// `R`: a repeatable migration, applied after all versions and again when its text
    /// has changed.
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
pub struct MigrationId {
    /// The migration version; 0 for a repeatable migration, which has none.
    pub version: i64,
    /// The kind of the migration.
    pub prefix: Prefix,
    /// The name of the migration.
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

    /// Returns whether this is a repeatable migration, which has a name and no version.
    pub fn is_repeatable(&self) -> bool {
        self.prefix == Prefix::R
    }

    /// Returns the short form: `V1`, or `R__user_names`.
    pub(crate) fn short(&self) -> String {
        match self.prefix {
            Prefix::R => self.to_string(),
            prefix => format!("{prefix}{}", self.version),
        }
    }
}

/// A reference to one of an app's migrations, or to all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// All migrations of the app.
    All,
    Version(i64),
    /// The repeatable migration with this name.
    Repeatable(String),
}

impl Which {
    /// Parses the argument of a directive: a version, or `R__name`.
    pub(crate) fn parse(text: &str) -> Option<Which> {
        match text.strip_prefix("R__") {
            Some("") => None,
            Some(name) => Some(Which::Repeatable(name.to_owned())),
            None => parse_version(text).map(Which::Version),
        }
    }

    /// Returns the argument of a directive with a leading space; empty for all migrations.
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

/// Parses a migration version: `V1`, `U1` or `1`.
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
