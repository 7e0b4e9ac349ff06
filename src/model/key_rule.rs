//! The rules by which the keys of a cache become buckets, as in `bustard.key_bucket()`.
//!
//! In: the rule of a cache, and the values of a key as texts. Out: a bucket.

#[cfg(feature = "_engine")]
use sha2::{Digest, Sha256};

/// The number of buckets of a source.
pub(crate) const BUCKETS: usize = 4093;

/// The rule of the keys of a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyRule {
    /// Every key has the version of the whole cache, because the engine does not tell keys
    /// apart.
    Whole,
    /// The key has a value for each of these columns.
    Columns(Box<[ColumnRule]>),
}

/// The rule of a column of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnRule {
    Int,
    Uuid,
    Text,
}

impl KeyRule {
    /// Parses a rule of the registry: the rules of the columns, separated by commas.
    pub(crate) fn parse(rule: &str) -> Option<Self> {
        let column = |rule| match rule {
            "int" => Some(ColumnRule::Int),
            "uuid" => Some(ColumnRule::Uuid),
            "text" => Some(ColumnRule::Text),
            _ => None,
        };
        rule.split(',').map(column).collect::<Option<_>>().map(KeyRule::Columns)
    }

    /// Returns whether this is the rule of keys of one column with the rule `column`.
    pub(crate) fn is_one(&self, column: ColumnRule) -> bool {
        match self {
            KeyRule::Whole => true,
            KeyRule::Columns(columns) => **columns == [column],
        }
    }

    /// Returns the number of buckets.
    pub(crate) fn buckets(&self) -> usize {
        match self {
            KeyRule::Whole => 1,
            KeyRule::Columns(_) => BUCKETS,
        }
    }

    /// Returns the bucket of an integer, which is a key of one column.
    #[inline]
    pub(crate) fn int_bucket(&self, key: impl Into<i64>) -> usize {
        match self {
            KeyRule::Whole => 0,
            KeyRule::Columns(_) => remainder(key.into()),
        }
    }

    /// Returns the bucket of a key. Each value is first written as its column writes it, so
    /// that a uuid may be in capitals. Returns `None` if the number of values is not that of
    /// the columns, or if a value is none of its column.
    #[cfg(feature = "_engine")]
    pub(crate) fn bucket(&self, values: &[&str]) -> Option<usize> {
        let KeyRule::Columns(columns) = self else { return Some(0) };
        if values.len() != columns.len() {
            return None;
        }
        if let ([ColumnRule::Int], [value]) = (&**columns, values) {
            return int(value).map(remainder);
        }
        let mut hash = Sha256::new();
        for (at, (column, value)) in columns.iter().zip(values).enumerate() {
            if at > 0 {
                hash.update([0x1f]);
            }
            match column {
                ColumnRule::Int => hash.update(int(value)?.to_string()),
                ColumnRule::Uuid => hash.update(uuid(value)?),
                ColumnRule::Text => hash.update(value),
            }
        }
        let first = hash.finalize().first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        Some(first as usize % BUCKETS)
    }
}

/// Returns the bucket of an integer.
#[inline]
fn remainder(key: i64) -> usize {
    // The remainder is not negative, and less than the number of buckets.
    key.rem_euclid(BUCKETS as i64) as usize
}

/// Parses an integer as PostgreSQL does, with spaces around it.
fn int(text: &str) -> Option<i64> {
    text.trim_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']).parse().ok()
}

/// Returns a uuid in its canonical form. It may be in braces, and have a hyphen after each
/// four digits, as in PostgreSQL.
fn uuid(text: &str) -> Option<String> {
    let bare = match text.strip_prefix('{') {
        Some(rest) => rest.strip_suffix('}')?,
        None => text,
    };
    let mut digits = String::with_capacity(32);
    let mut may_be_hyphen = false;
    for c in bare.chars() {
        match c {
            '-' if may_be_hyphen => may_be_hyphen = false,
            c if c.is_ascii_hexdigit() => {
                digits.push(c.to_ascii_lowercase());
                may_be_hyphen = digits.len().is_multiple_of(4) && digits.len() < 32;
            }
            _ => return None,
        }
    }
    if digits.len() != 32 {
        return None;
    }
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    Some(parts.join("-"))
}

#[cfg(all(test, feature = "_engine"))]
mod tests {
    use super::*;

    fn bucket(rule: &str, values: &[&str]) -> Option<usize> {
        KeyRule::parse(rule).unwrap().bucket(values)
    }

    #[test]
    fn integers_by_remainder() {
        let cases = [
            (0, 0),
            (1, 1),
            (-1, 4092),
            (4093, 0),
            (-4093, 0),
            (4094, 1),
            (i64::MAX, 1943),
            (i64::MIN, 2149),
        ];
        for (key, expected) in cases {
            assert_eq!(bucket("int", &[&key.to_string()]), Some(expected), "{key}");
            assert_eq!(KeyRule::parse("int").unwrap().int_bucket(key), expected, "{key}");
        }
    }

    #[test]
    fn a_value_is_written_as_its_column_writes_it() {
        let one = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
        let same = [&one.to_uppercase(), &format!("{{{one}}}"), &one.replace('-', "")];
        let expected = bucket("uuid", &[one]);
        assert!(expected.is_some());
        for text in same {
            assert_eq!(bucket("uuid", &[text]), expected, "{text}");
        }
        assert_eq!(bucket("int,text", &[" +007", "7"]), bucket("int,text", &["7", "7"]));
        assert_ne!(bucket("text,text", &["007", "7"]), bucket("text,text", &["7", "7"]));
    }

    #[test]
    fn what_is_no_key_has_no_bucket() {
        let long = "1".repeat(33);
        for (rule, values) in [
            ("int", &["x"][..]),
            ("int", &["9223372036854775808"]),
            ("int", &[""]),
            ("int", &["1", "2"]),
            ("uuid", &["x"]),
            ("uuid", &[&long]),
            ("uuid", &["{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]),
            ("uuid", &["a0e-ebc999c0b4ef8bb6d6bb9bd380a11"]),
            ("text,text", &["a"]),
        ] {
            assert_eq!(bucket(rule, values), None, "{rule} {values:?}");
        }
        assert_eq!(KeyRule::parse("float"), None);
    }
}
