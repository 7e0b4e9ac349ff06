//! The operation `UnregisterCache`.

use super::RegisterCache;
use crate::diagnostic::Place;

/// Stops tracking a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnregisterCache {
    pub name: String,
    /// Whether it undoes a registration: what the cache was before is what undoing
    /// an earlier one goes back to.
    pub undoes: bool,
    pub place: Option<Place>,
}

impl UnregisterCache {
    pub(crate) fn inverse(&self) -> RegisterCache {
        RegisterCache {
            name: self.name.clone(),
            tables: Vec::new(),
            keeps_owner: true,
            place: self.place.clone(),
        }
    }
}
