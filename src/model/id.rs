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
