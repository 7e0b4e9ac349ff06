//! The records that the database keeps beside the histories: the state of each app, and how
//! to revert each applied migration, because the file may no longer exist when the
//! migration is reverted.
//!
//! In: rows of Bustard's own tables. Out: the records as data.

use std::collections::BTreeMap;

use super::Repeatables;
use crate::model::HistoryTable;
use crate::sql::TableName;

/// The state of an app in a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AppState {
    /// No migration of the app is applied. The first migration installs the app.
    NotInstalled,
    /// The migrations of the app are expected, and runs apply pending migrations.
    Enabled,
    /// The migrations of the app are not expected, whether applied or pending. The caches
    /// of the app stay.
    Disabled,
    /// The app was uninstalled with kept data. A run that has the migrations of the app
    /// restores it.
    DataKept,
}

/// The record of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InstalledApp {
    pub label: String,
    /// The name of its history table, quoted for SQL.
    pub history: String,
    /// The state of the app, which is never [`AppState::NotInstalled`].
    pub state: AppState,
    /// Whether the history is there because `repair` was told so, wherever the search path
    /// leads.
    pub pinned: bool,
}

/// What the database says about a recorded history, beside its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// Whether a table has the recorded name.
    pub exists: bool,
    /// The version of the first recorded migration, and when the history says that it was
    /// applied. It tells this history from another one in the same place.
    pub first: Option<(i64, String)>,
}

impl InstalledApp {
    /// Returns the app's history table. The app need not be loaded.
    pub(crate) fn table(&self) -> Option<HistoryTable> {
        let table = TableName::parse(&self.history).ok()?;
        let (schema, name) = table.parts();
        Some(HistoryTable { app: self.label.clone(), schema, name })
    }
}

/// The records of all apps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Installed {
    pub apps: BTreeMap<String, InstalledApp>,
    /// Whether the current role may not write these records. Such a role migrates an app
    /// of its own in a database where another role owns Bustard's tables.
    pub guest: bool,
    /// Whether the database is a copy that still has the identity of the original.
    pub copied: bool,
    /// Whether the current role may not give a copy an identity of its own.
    pub keeps_identity: bool,
    /// Whether some of Bustard's own tables, or the rows that they always have, are missing.
    pub incomplete: bool,
    /// Whether the records could not be read, because their tables do not exist.
    pub unreadable: bool,
    /// What is known of the recorded histories, by app.
    pub evidence: BTreeMap<String, Evidence>,
    /// The installed repeatable migrations of all apps.
    pub repeatables: Repeatables,
    /// The number of apps that are not enabled.
    unusual: usize,
}

impl Installed {
    /// Returns what is known if the records cannot be read.
    pub(crate) fn unreadable() -> Self {
        Installed { incomplete: true, unreadable: true, ..Installed::default() }
    }

    /// Returns whether every app is enabled. This is nearly always the case, and then
    /// callers need not check each app.
    pub(crate) fn all_enabled(&self) -> bool {
        self.unusual == 0
    }

    /// Returns whether the app should have a history: it has one, or something of it is
    /// applied. An app can be disabled before it is installed.
    pub(crate) fn has_history(&self, label: &str, evidence: &Evidence) -> bool {
        evidence.exists || evidence.first.is_some() || self.repeatables.installed_of(label) > 0
    }

    /// Returns the recorded apps that are not configured and whose histories do not exist any
    /// more.
    pub(crate) fn gone_elsewhere(
        &self,
        is_configured: impl Fn(&str) -> bool,
    ) -> impl Iterator<Item = &String> {
        let gone = |label: &str, evidence: &Evidence| !evidence.exists && self.has_history(label, evidence);
        let gone = self
            .evidence
            .iter()
            .filter(move |(label, evidence)| gone(label, evidence))
            .map(|(label, _)| label);
        gone.filter(move |label| !is_configured(label))
    }

    /// Adds the record of an app.
    pub(crate) fn insert(&mut self, app: InstalledApp) {
        self.unusual += usize::from(app.state != AppState::Enabled);
        self.apps.insert(app.label.clone(), app);
    }

    /// Returns the recorded state of an app; `None` if it has no record.
    pub(crate) fn state(&self, label: &str) -> Option<AppState> {
        self.apps.get(label).map(|app| app.state)
    }
}

/// The record of an applied migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub app: String,
    pub version: i64,
    /// The checksum of its text without its dependencies.
    pub body_checksum: String,
    /// The dependencies on migrations of other apps that the migration itself declares with
    /// `depends on`.
    pub dependencies: Vec<(String, i64)>,
    /// The migrations of other apps that its `required by` names. These migrations do not
    /// declare the dependency themselves.
    pub required_by: Vec<(String, i64)>,
    /// The text of a migration file that reverts the migration; empty if nothing reverts
    /// it.
    pub revert: String,
    /// The reason why `revert` alone does not revert the migration, if it does not.
    pub irreversible: Option<String>,
}

impl Record {
    /// Formats `dependencies` or `required_by` for the database.
    pub(crate) fn list(migrations: &[(String, i64)]) -> String {
        let one = |(app, version): &(String, i64)| format!("{app}:{version}");
        migrations.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    /// Parses what [`list`](Record::list) has formatted.
    pub(crate) fn parse_list(text: &str) -> Option<Vec<(String, i64)>> {
        let one = |word: &str| {
            let (app, version) = word.rsplit_once(':')?;
            Some((app.to_owned(), version.parse().ok()?))
        };
        text.split(' ').filter(|word| !word.is_empty()).map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_they_were_written() {
        for list in
            [vec![], vec![("forum".to_owned(), 1)], vec![("a".to_owned(), 20250101), ("b".to_owned(), 2)]]
        {
            assert_eq!(Record::parse_list(&Record::list(&list)), Some(list));
        }
        assert_eq!(Record::parse_list("forum"), None);
    }

    #[test]
    fn a_history_table_is_found_by_its_quoted_name() {
        for (history, schema, name) in [
            ("\"public\".\"refinery_schema_history\"", Some("public"), "refinery_schema_history"),
            ("main.\"Odd \"\"name\"\"\"", Some("main"), "Odd \"name\""),
        ] {
            let app = InstalledApp {
                label: "a".into(),
                history: history.into(),
                state: AppState::Enabled,
                pinned: false,
            };
            let table = app.table().expect("it is a name");
            assert_eq!((table.schema.as_deref(), table.name.as_str()), (schema, name));
        }
    }
}
