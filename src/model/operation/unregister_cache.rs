//! The operation `UnregisterCache`.
//!
//! In: a cache name. Out: the operation, and the operation that reverts it.

use crate::diagnostic::Place;

/// Unregisters a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnregisterCache {
    pub name: String,
    /// Whether the operation reverts a registration. The cache's former owner and tables
    /// then stay recorded, because reverting an earlier migration may need them.
    pub reverts: bool,
    pub place: Option<Place>,
}
