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
/// `R__user_names` for a repeatable migration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
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
}
