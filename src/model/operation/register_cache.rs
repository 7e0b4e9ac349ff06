//! The operation `RegisterCache`.

use crate::diagnostic::Place;
use crate::sql::TableName;

/// Starts tracking a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterCache {
    pub name: String,
    /// The tables whose writes invalidate it.
    pub tables: Vec<TableName>,
    /// Whether it goes back to whom it belonged to before it was unregistered, and
    /// to the tables that it had then.
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

    /// The tables as a directive lists them.
    pub(crate) fn table_list(&self) -> String {
        self.tables.iter().map(TableName::as_str).collect::<Vec<_>>().join(", ")
    }

    /// The owner, where it is said: the app whose migration this is.
    pub(crate) fn owner<'a>(&self, app: &'a str) -> Option<&'a str> {
        (!self.keeps_owner).then_some(app)
    }
}
