//! What the database remembers of repeatable migrations: the texts that have been
//! installed, the current one and those before it.

use std::collections::{BTreeMap, BTreeSet};

/// The records of all repeatable migrations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Repeatables {
    /// By app, and then by name.
    records: BTreeMap<String, BTreeMap<String, Recorded>>,
    /// The role that owns Bustard's own functions, if this role may not replace them.
    pub owner: Option<String>,
    /// Whether this role may not write records.
    pub read_only: bool,
}

/// The texts of one repeatable migration that have been installed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub current: Option<Current>,
    /// The checksums of texts that were replaced.
    pub former: BTreeSet<String>,
}

/// The text that is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Current {
    pub checksum: String,
    pub installed_at: String,
    /// For Bustard's own: the edition of the release that installed it.
    pub edition: Option<i32>,
    /// For Bustard's own: whether the catalogue has something else now.
    pub edited: bool,
}

/// An installation, to be written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Installation {
    pub app: String,
    pub name: String,
    pub checksum: String,
    /// For Bustard's own only.
    pub edition: Option<i32>,
    /// What drops what it made, as the text of a migration file.
    pub revert: String,
    /// Why that text alone does not.
    pub irreversible: Option<String>,
}

/// What drops the objects of an installed repeatable migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordedRevert {
    pub app: String,
    pub name: String,
    pub revert: String,
    pub irreversible: Option<String>,
}

impl Repeatables {
    /// The record of a repeatable migration, if it was ever installed.
    pub(crate) fn find(&self, app: &str, name: &str) -> Option<&Recorded> {
        self.records.get(app)?.get(name)
    }

    /// The names of an app's repeatable migrations that are installed.
    pub(crate) fn names<'r>(&'r self, app: &str) -> impl Iterator<Item = &'r str> {
        let of_app = self.records.get(app).into_iter().flatten();
        of_app.filter(|(_, recorded)| recorded.current.is_some()).map(|(name, _)| name.as_str())
    }

    /// The highest edition of Bustard's own functions that is installed.
    pub(crate) fn edition(&self) -> Option<i32> {
        let all = self.records.values().flat_map(BTreeMap::values);
        all.filter_map(|recorded| recorded.current.as_ref()?.edition).max()
    }

    /// Takes a text in that is installed.
    pub(crate) fn installed(&mut self, app: String, name: String, current: Current) {
        self.entry(app, name).current = Some(current);
    }

    /// Takes a text in that was replaced.
    pub(crate) fn replaced(&mut self, app: String, name: String, checksum: String) {
        self.entry(app, name).former.insert(checksum);
    }

    fn entry(&mut self, app: String, name: String) -> &mut Recorded {
        self.records.entry(app).or_default().entry(name).or_default()
    }
}
