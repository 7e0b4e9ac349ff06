//! The operation `UnregisterCache`.
//!
//! In: a cache name. Out: the operation, and the operation that reverts it.

use super::RegisterCache;
use crate::diagnostic::Place;

/// Unregisters a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnregisterCache {
    pub name: String,
    /// Whether this reverts a registration. The cache's former owner and tables then stay
    /// recorded, because reverting an earlier migration may need them.
    pub reverts: bool,
    pub place: Option<Place>,
}

impl UnregisterCache {
    pub(crate) fn revert(&self) -> RegisterCache {
        RegisterCache {
            name: self.name.clone(),
            tables: Vec::new(),
            keeps_owner: true,
            place: self.place.clone(),
        }
    }
}
