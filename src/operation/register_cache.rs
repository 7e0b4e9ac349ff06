//! The operation `RegisterCache`.

use super::UnregisterCache;
use crate::error::Place;

/// Starts tracking a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RegisterCache {
    pub name: String,
    /// Whether it goes back to whom it belonged to before it was unregistered.
    pub keeps_owner: bool,
    pub place: Option<Place>,
}

impl RegisterCache {
    /// The owner, where it is said: the app whose migration this is.
    pub(crate) fn owner<'a>(&self, app: &'a str) -> Option<&'a str> {
        (!self.keeps_owner).then_some(app)
    }

    pub(crate) fn inverse(&self) -> UnregisterCache {
        UnregisterCache { name: self.name.clone(), place: self.place.clone() }
    }
}
