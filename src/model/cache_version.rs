//! Cache versions, and the identities that they are derived from.
//!
//! In: a count of invalidations and a nonce. Out: a version, as one integer.

use std::fmt;
use std::num::NonZeroI64;
use std::str::FromStr;

use crate::error::Error;

/// The version of a tracked cache: a positive 64-bit integer. Different committed states
/// of the data that the cache depends on have different versions.
///
/// Read the version before the data and store it beside the data, as a `BIGINT`.
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
    /// Returns the version with this number; `None` unless it is positive.
    #[inline]
    pub fn new(number: i64) -> Option<Self> {
        if number < 1 {
            return None;
        }
        NonZeroI64::new(number).map(CacheVersion)
    }

    /// Returns the number.
    #[inline]
    pub fn get(self) -> i64 {
        self.0.get()
    }

    /// Returns the number of invalidations of this cache, including invalidations of all
    /// caches. The difference between two versions is the number of invalidations between
    /// them.
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
            Error::usage(format!("`{text}` is not a cache version: it must be a positive integer"))
        })
    }
}

impl From<CacheVersion> for i64 {
    #[inline]
    fn from(version: CacheVersion) -> i64 {
        version.get()
    }
}

/// The version of a key of a tracked cache: a positive 64-bit integer, which is stored beside
/// data like a [`CacheVersion`]. It is not comparable to the version of the whole cache, so it
/// is a type of its own.
///
/// ```
/// use bustard::KeyVersion;
///
/// let version: KeyVersion = "8388609".parse()?;
/// assert_eq!(version.get(), 8388609);
/// assert_eq!(KeyVersion::new(0), None);
/// # Ok::<(), bustard::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyVersion(CacheVersion);

impl KeyVersion {
    /// Returns the version with this number; `None` unless it is positive.
    #[inline]
    pub fn new(number: i64) -> Option<Self> {
        CacheVersion::new(number).map(KeyVersion)
    }

    /// Returns the number.
    #[inline]
    pub fn get(self) -> i64 {
        self.0.get()
    }
}

impl fmt::Display for KeyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for KeyVersion {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        text.parse().map(KeyVersion)
    }
}

/// The set of invalidations that a version stands for: their number and the XOR of their
/// nonces. Two sets of the same size differ in the nonce. The nonce has 64 bits, and a
/// version contains only 23 of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    pub n: i64,
    pub nonce: i64,
}

impl Identity {
    const NONCE_BITS: u32 = 23;

    /// The identity of no invalidations.
    pub(crate) const NONE: Identity = Identity { n: 0, nonce: 0 };

    /// Returns the identity of the invalidations of two sets that have none in common.
    pub(crate) fn and(self, other: Identity) -> Identity {
        Identity { n: self.n.wrapping_add(other.n), nonce: self.nonce ^ other.nonce }
    }

    /// Returns the identity of a set without the invalidations of a part of it.
    pub(crate) fn without(self, part: Identity) -> Identity {
        Identity { n: self.n.wrapping_sub(part.n), nonce: self.nonce ^ part.nonce }
    }

    /// Returns the version; `None` if the count is too large for a version.
    pub(crate) fn version(self) -> Option<CacheVersion> {
        let count = self.n.checked_mul(1 << Self::NONCE_BITS)?;
        CacheVersion::new(count | (self.nonce & ((1 << Self::NONCE_BITS) - 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
