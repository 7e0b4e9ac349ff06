//! The changes that a listener is called with. In: two consecutive snapshots. Out:
//! [`Change`]s.

use crate::model::CacheVersion;

/// A change of the snapshot, as the function given to
/// [`on_change`](super::CacheBusterBuilder::on_change) receives it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// The version of a cache differs from the previous snapshot.
    Version {
        /// The name of the cache.
        cache: String,
        /// The previous version; `None` if the cache was not registered.
        before: Option<CacheVersion>,
        /// The current version; `None` if the cache is not registered any more.
        after: Option<CacheVersion>,
    },
    /// The snapshot has expired: no version is known until [`Change::Found`].
    Lost {
        /// The reason, for a log.
        why: String,
    },
    /// The snapshot is current again after [`Change::Lost`].
    Found,
}
