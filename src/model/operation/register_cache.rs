//! The operation `RegisterCache`.
//!
//! In: a cache name and tables. Out: the operation's description, and the operation that
//! reverts it.

use crate::diagnostic::Place;
use crate::sql::TrackedTable;

/// Registers a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterCache {
    pub name: String,
    /// The tables whose writes invalidate the cache.
    pub tables: Vec<TrackedTable>,
    /// Whether the cache gets the owner and the tables that it had before it was
    /// unregistered.
    pub keeps_owner: bool,
    pub place: Option<Place>,
}

impl RegisterCache {
    pub(crate) fn describe(&self) -> String {
        match self.tables.is_empty() {
            true => format!("register cache {}", self.name),
            false => format!("register cache {} on {}", self.name, self.table_list()),
        }
    }

    /// Returns the tables as a directive lists them.
    pub(crate) fn table_list(&self) -> String {
        TrackedTable::list(&self.tables)
    }

    /// Returns the owner: the migration's app, unless the cache keeps its former owner.
    pub(crate) fn owner<'a>(&self, app: &'a str) -> Option<&'a str> {
        (!self.keeps_owner).then_some(app)
    }
}
