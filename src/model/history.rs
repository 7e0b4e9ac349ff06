//! The history of an app, as data.
//!
//! In: the rows of a history table. Out: the applied migrations, by version.

use super::{BUSTARD, LoadedApp, Width};
use crate::sql::Dialect;

/// The name of an app's history table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryTable {
    pub app: String,
    /// The schema of the table; `None` if the search path decides.
    pub schema: Option<String>,
    pub name: String,
}

impl HistoryTable {
    pub(crate) fn of(app: &LoadedApp, dialect: &'static dyn Dialect) -> Self {
        let (schema, name) = match app.history.as_deref().map(|table| table.split_once('.')) {
            Some(Some((schema, name))) => (Some(schema.to_owned()), name.to_owned()),
            Some(None) => (None, app.history.clone().unwrap_or_default()),
            None if app.label == "main" => (None, "refinery_schema_history".to_owned()),
            None => (None, format!("refinery_schema_history_{}", app.label)),
        };
        // Bustard's own history is in the schema of its tables, so that apps in different
        // schemas of one database share it.
        let own = dialect.own_schema().filter(|_| app.label == BUSTARD);
        let schema = schema.or(own.map(str::to_owned));
        HistoryTable { app: app.label.clone(), schema, name }
    }
}

/// One applied migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    pub version: i64,
    pub name: String,
    pub applied_on: String,
    pub checksum: String,
}

/// The history of one app.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The place of the table, quoted for SQL; where it will be created if there is none.
    pub place: String,
    /// The role that owns the table, on an engine with roles.
    pub owner: Option<String>,
    /// `None` if there is no table yet.
    pub width: Option<Width>,
    /// The applied migrations, in the order of their versions.
    pub applied: Vec<Applied>,
}

impl History {
    /// Returns the history of an app without a table. `place` is where it will be created.
    pub(crate) fn none(place: impl Into<String>) -> Self {
        History { place: place.into(), ..History::default() }
    }

    /// Returns the width of the table, or of the table that will be created.
    pub(crate) fn width(&self) -> Width {
        self.width.unwrap_or(Width::NEW)
    }

    pub(crate) fn find(&self, version: i64) -> Option<&Applied> {
        self.applied.binary_search_by_key(&version, |a| a.version).ok().map(|i| &self.applied[i])
    }
}
