//! Versions: of a cache ([`CacheVersion`]) and of a migration ([`MigrationId`]).

use std::fmt;
use std::num::NonZeroI64;
use std::str::FromStr;

use crate::error::Error;

/// What a tracked cache's state is called: a positive 64-bit integer that no
/// other committed state of what the cache depends on carries.
///
/// Store it beside the data that was read after it; it is an ordinary `BIGINT`.
///
/// ```
/// use bustard::CacheVersion;
///
/// let version: CacheVersion = "8388609".parse()?;
/// assert_eq!(version.get(), 8388609);
/// assert!("0".parse::<CacheVersion>().is_err());
/// # Ok::<(), bustard::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheVersion(NonZeroI64);

impl CacheVersion {
    /// The version with this number; `None` unless it is positive.
    #[inline]
    pub fn new(number: i64) -> Option<Self> {
        if number < 1 {
            return None;
        }
        NonZeroI64::new(number).map(CacheVersion)
    }

    /// The number.
    #[inline]
    pub fn get(self) -> i64 {
        self.0.get()
    }

    /// How many invalidations it counts, those of all caches together with the
    /// cache's own. Between two versions of a cache lie as many as the difference.
    pub fn invalidations(self) -> i64 {
        self.get() >> Identity::NONCE_BITS
    }
}

impl fmt::Display for CacheVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for CacheVersion {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        (text.parse().ok().and_then(CacheVersion::new)).ok_or_else(|| {
            Error::usage(format!("`{text}` is no cache version: it must be a positive integer"))
        })
    }
}

impl From<CacheVersion> for i64 {
    #[inline]
    fn from(version: CacheVersion) -> i64 {
        version.get()
    }
}

/// What a version stands for: a set of invalidations, told by their number and
/// the XOR of their nonces. Of two sets with one number, 64 bits tell them
/// apart here, and 23 in a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    pub n: i64,
    pub nonce: i64,
}

impl Identity {
    const NONCE_BITS: u32 = 23;

    /// The version; `None` for a count that it has no room for.
    pub(crate) fn version(self) -> Option<CacheVersion> {
        let count = self.n.checked_mul(1 << Self::NONCE_BITS)?;
        CacheVersion::new(count | (self.nonce & ((1 << Self::NONCE_BITS) - 1)))
    }
}

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

    #[test]
    fn cache_versions_are_positive() {
        assert_eq!(CacheVersion::new(0), None);
        assert_eq!(CacheVersion::new(-1), None);
        assert_eq!(CacheVersion::new(i64::MAX).map(CacheVersion::get), Some(i64::MAX));
    }

    #[test]
    fn an_identity_is_packed() {
        let version = |n, nonce| Identity { n, nonce }.version().map(CacheVersion::get);
        assert_eq!(version(1, 0), Some(1 << 23));
        assert_eq!(version(2, -1), Some((2 << 23) | 0x7f_ffff));
        assert_eq!(version((1 << 40) - 1, -1), Some(i64::MAX));
        assert_eq!(version(1 << 40, 0), None);
        assert_eq!(version(0, 0), None);
    }
}
