//! What the database remembers of apps and their migrations beside their
//! histories: which apps are installed and how they stand, and a record of each
//! applied migration, so that it can be undone when its file is gone.

use std::collections::{BTreeMap, BTreeSet};

use super::Repeatables;
use crate::model::HistoryTable;
use crate::sql::TableName;

/// How an app stands in a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AppState {
    /// None of its migrations is applied: the first one installs it.
    NotInstalled,
    /// Its migrations are applied as they come.
    Enabled,
    /// Its migrations are not expected, applied or not; its caches stay.
    Disabled,
    /// It was uninstalled, and its tables were left. Migrating with its files
    /// brings it back.
    DataKept,
}

/// A row for an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InstalledApp {
    pub label: String,
    /// Where its history is, quoted for SQL.
    pub history: String,
    /// Never [`AppState::NotInstalled`].
    pub state: AppState,
}

impl InstalledApp {
    /// Its history, also where nothing else knows the app.
    pub(crate) fn table(&self) -> Option<HistoryTable> {
        let table = TableName::parse(&self.history).ok()?;
        let (schema, name) = table.parts();
        Some(HistoryTable { app: self.label.clone(), schema, name })
    }
}

/// The rows for apps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Installed {
    pub apps: BTreeMap<String, InstalledApp>,
    /// Whether the role that asks may not write such rows: it migrates an app of
    /// its own in a database that is somebody else's.
    pub guest: bool,
    /// Labels of this migrator's apps whose rows are not theirs: another app of that
    /// label keeps its history in another schema.
    pub foreign: BTreeSet<String>,
    /// The repeatable migrations of all apps that have been installed.
    pub repeatables: Repeatables,
    /// How many of the apps are not simply enabled.
    unusual: usize,
}

impl Installed {
    /// Whether no app is disabled, and of none only the data is kept: as it is nearly
    /// always, so that nobody needs to ask about one.
    pub(crate) fn all_enabled(&self) -> bool {
        self.unusual == 0
    }

    /// Takes a row in.
    pub(crate) fn insert(&mut self, app: InstalledApp) {
        self.unusual += usize::from(app.state != AppState::Enabled);
        self.apps.insert(app.label.clone(), app);
    }

    /// The state that the app's row says; `None` without one.
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
    pub body: String,
    /// The migrations of other apps that it needs, because it says so itself.
    pub needs: Vec<(String, i64)>,
    /// The migrations of other apps before which it asks to be: they do not need it.
    pub required_by: Vec<(String, i64)>,
    /// What undoes it, as the text of a migration file; empty where nothing does.
    pub undo: String,
    /// Why the text alone does not undo it.
    pub obstacle: Option<String>,
}

impl Record {
    /// `needs` or `required_by` as it is written down.
    pub(crate) fn list(migrations: &[(String, i64)]) -> String {
        let one = |(app, version): &(String, i64)| format!("{app}:{version}");
        migrations.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    /// Reads it again.
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
            let app = InstalledApp { label: "a".into(), history: history.into(), state: AppState::Enabled };
            let table = app.table().expect("it is a name");
            assert_eq!((table.schema.as_deref(), table.name.as_str()), (schema, name));
        }
    }
}
