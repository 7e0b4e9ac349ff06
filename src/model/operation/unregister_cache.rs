//! The operation `UnregisterCache`.

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
