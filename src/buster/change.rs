//! What the refresher tells those who follow it.

use crate::model::CacheVersion;

/// Something that the refresher has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// A cache has another version than at the last look.
    Version {
        /// The cache.
        cache: String,
        /// What it was; `None` if it was not registered.
        before: Option<CacheVersion>,
        /// What it is; `None` if it is not registered.
        after: Option<CacheVersion>,
    },
    /// The versions are not known any more.
    Lost {
        /// Why.
        why: String,
    },
    /// They are known again.
    Found,
}
