//! The operation `RegisterCache`.

use super::UnregisterCache;
use crate::error::Place;

/// Starts tracking a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RegisterCache {
    pub name: String,
    pub place: Option<Place>,
}

impl RegisterCache {
    pub(crate) fn inverse(&self) -> UnregisterCache {
        UnregisterCache { name: self.name.clone(), place: self.place.clone() }
    }
}
