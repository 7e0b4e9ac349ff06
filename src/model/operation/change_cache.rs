//! The operation `ChangeCache`.
//!
//! In: a cache name and tables. Out: the operation's description, and the operation that
//! reverts it.

use super::RegisterCache;
use crate::diagnostic::Place;
use crate::sql::TrackedTable;

/// Changes the tables whose writes invalidate a registered cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeCache {
    pub name: String,
    pub tables: Vec<TrackedTable>,
    /// Whether the cache gets the tables that it had before the last change.
    pub reverts: bool,
    pub place: Option<Place>,
}

impl ChangeCache {
    pub(crate) fn describe(&self) -> String {
        match self.reverts {
            true => format!("change cache {} back to its former tables", self.name),
            false => format!("change cache {} on {}", self.name, self.table_list()),
        }
    }

    /// Returns the tables as a directive lists them.
    pub(crate) fn table_list(&self) -> String {
        TrackedTable::list(&self.tables)
    }

    /// Returns the app that must own the cache: the migration's app, unless the operation
    /// reverts a change.
    pub(crate) fn owner<'a>(&self, app: &'a str) -> Option<&'a str> {
        (!self.reverts).then_some(app)
    }

    /// Returns the registration of the cache with the tables that it has after the change.
    pub(crate) fn registration(&self) -> RegisterCache {
        RegisterCache {
            name: self.name.clone(),
            tables: self.tables.clone(),
            keeps_owner: false,
            place: self.place.clone(),
        }
    }
}
