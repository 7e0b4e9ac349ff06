//! The records of repeatable migrations: the installed text of each, and the texts that it
//! replaced.
//!
//! In: rows of Bustard's own tables. Out: the records as data.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::Which;

/// The records of all repeatable migrations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Repeatables {
    /// The records by app, and then by name.
    records: BTreeMap<String, BTreeMap<String, Recorded>>,
    /// The role that owns Bustard's own functions, if the current role may not replace them.
    pub owner: Option<String>,
    /// Whether the current role may not write records.
    pub read_only: bool,
}

/// The installed texts of one repeatable migration: the current text and the former texts.
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
    /// For Bustard's own functions: the edition of the release that installed the text.
    pub edition: Option<i32>,
    /// For Bustard's own functions: whether the definition in the catalogue has changed since
    /// the installation.
    pub edited: bool,
}

/// An installation that is about to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Installation {
    pub app: String,
    pub name: String,
    pub checksum: String,
    /// The edition; only for Bustard's own functions.
    pub edition: Option<i32>,
    pub depends_on: Vec<(String, Which)>,
    /// The text of a migration file that drops the objects that the migration created.
    pub revert: String,
    /// The reason why `revert` alone does not drop all of these objects; `None` if it drops
    /// them.
    pub irreversible: Option<String>,
}

/// The recorded revert of an installed repeatable migration: it drops the migration's objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordedRevert {
    pub app: String,
    pub name: String,
    pub checksum: String,
    pub depends_on: Vec<(String, Which)>,
    pub revert: String,
    pub irreversible: Option<String>,
}

/// Formats dependencies for the database: `forum:1`, `forum:R__names`, `forum`.
pub(super) fn list(dependencies: &[(String, Which)]) -> String {
    let one = |(app, which): &(String, Which)| match which.suffix().trim_start() {
        "" => app.clone(),
        which => format!("{app}:{which}"),
    };
    dependencies.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// Parses formatted dependencies.
pub(super) fn parse_list(text: &str) -> Option<Vec<(String, Which)>> {
    let one = |word: &str| match word.split_once(':') {
        Some((app, which)) => Some((app.to_owned(), Which::parse(which)?)),
        None => Some((word.to_owned(), Which::All)),
    };
    text.split(' ').filter(|word| !word.is_empty()).map(one).collect()
}

impl Repeatables {
    /// Returns the record of a repeatable migration, if it was ever installed.
    pub(crate) fn find(&self, app: &str, name: &str) -> Option<&Recorded> {
        self.records.get(app)?.get(name)
    }

    /// Returns the first repeatable migration whose installed text differs in `other`.
    pub(crate) fn different_from<'r>(&'r self, other: &'r Repeatables) -> Option<(&'r str, &'r str)> {
        let named = |all: &'r Repeatables| {
            all.records.iter().flat_map(|(app, of)| of.keys().map(move |name| (app.as_str(), name.as_str())))
        };
        let text = |all: &Repeatables, app: &str, name: &str| {
            let current = all.find(app, name)?.current.as_ref()?;
            Some((current.checksum.clone(), current.edition, current.edited))
        };
        let mut all = named(self).chain(named(other));
        all.find(|(app, name)| text(self, app, name) != text(other, app, name))
    }

    /// Counts the installed repeatable migrations of an app.
    pub(crate) fn installed_of(&self, app: &str) -> usize {
        let of_app = self.records.get(app).into_iter().flat_map(BTreeMap::values);
        of_app.filter(|recorded| recorded.current.is_some()).count()
    }

    /// Returns the highest installed edition of Bustard's own functions.
    pub(crate) fn edition(&self) -> Option<i32> {
        let all = self.records.values().flat_map(BTreeMap::values);
        all.filter_map(|recorded| recorded.current.as_ref()?.edition).max()
    }

    /// Adds an installed text.
    pub(crate) fn installed(&mut self, app: String, name: String, current: Current) {
        self.entry(app, name).current = Some(current);
    }

    /// Adds a text that was replaced.
    pub(crate) fn replaced(&mut self, app: String, name: String, checksum: String) {
        self.entry(app, name).former.insert(checksum);
    }

    fn entry(&mut self, app: String, name: String) -> &mut Recorded {
        self.records.entry(app).or_default().entry(name).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_read_as_they_were_written() {
        let named = |app: &str, which| (app.to_owned(), which);
        for dependencies in [
            vec![],
            vec![named("a", Which::All)],
            vec![named("a", Which::Version(20250101)), named("b", Which::Repeatable("été__x".into()))],
        ] {
            assert_eq!(parse_list(&list(&dependencies)), Some(dependencies));
        }
        assert_eq!(parse_list("forum:x"), None);
    }
}
