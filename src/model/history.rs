//! What has been done, as data: the rows of an app's history table.

use super::{BUSTARD, LoadedApp};
use crate::sql::Dialect;

/// The type of a history table's column `version`; part of refinery's checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    Int4,
    Int8,
}

impl Width {
    /// What new tables get, as the feature `int8-versions` says.
    pub(crate) const NEW: Width = if cfg!(feature = "int8-versions") { Width::Int8 } else { Width::Int4 };
}

/// Where an app's history is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryTable {
    pub app: String,
    /// `None`: wherever the search path finds it, or else would create it.
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
        // Bustard's own history lives beside its tables, so that apps in
        // different schemas of one database share it.
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

/// One app's history as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// `None` where there is no table yet.
    pub width: Option<Width>,
    /// In order of version.
    pub applied: Vec<Applied>,
}

impl History {
    pub(crate) const EMPTY: History = History { width: None, applied: Vec::new() };

    /// The width that the table has or will have.
    pub(crate) fn width(&self) -> Width {
        self.width.unwrap_or(Width::NEW)
    }

    pub(crate) fn find(&self, version: i64) -> Option<&Applied> {
        self.applied.binary_search_by_key(&version, |a| a.version).ok().map(|i| &self.applied[i])
    }
}
