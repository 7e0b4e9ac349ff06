//! What a migration is called within its app.

use std::fmt;

/// How a migration may be applied: in order, or whenever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Prefix {
    /// `V`: in the order of versions.
    V,
    /// `U`: also after later versions.
    U,
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Prefix::V => "V",
            Prefix::U => "U",
        })
    }
}

/// A migration's version and name within its app, written `V1__create_users`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MigrationId {
    /// The migration version.
    pub version: i64,
    /// Whether it may be applied out of order.
    pub prefix: Prefix,
    /// The name.
    pub name: String,
}

impl fmt::Display for MigrationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}__{}", self.prefix, self.version, self.name)
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
    fn versions_are_read_in_three_spellings() {
        for text in ["V1", "U1", "1", "001"] {
            assert_eq!(parse_version(text), Some(1), "{text}");
        }
        for text in ["", "V", "W1", "-1", "1.5", "+1", "99999999999999999999"] {
            assert_eq!(parse_version(text), None, "{text}");
        }
    }
}
