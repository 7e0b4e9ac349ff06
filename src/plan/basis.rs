//! The state that a plan was made from. Under the lock, a run compares it with the
//! current state.
//!
//! In: the histories, the app records and the answers that the planner used. Out: the first
//! difference between these and the current state.

use super::Facts;
use crate::engine::Row;
use crate::history::{AppState, Current, Installed, InstalledApp};
use crate::model::{Applied, History, Width};

/// The state of a database from which a plan was made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Basis {
    /// The labels of the apps, in the order of `histories`.
    labels: Vec<String>,
    histories: Vec<History>,
    installed: Installed,
    /// The queries of the planner besides the histories and the app records.
    questions: Vec<Question>,
}

/// A query of the planner, with the answer that it used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub sql: String,
    pub answer: Vec<Row>,
}

impl Basis {
    /// Returns the basis of a plan that was made from these facts alone.
    pub(crate) fn of(facts: &Facts<'_>) -> Self {
        Basis {
            labels: facts.apps.iter().map(|app| app.label.clone()).collect(),
            histories: facts.histories.to_vec(),
            installed: facts.installed.clone(),
            questions: Vec::new(),
        }
    }

    /// Adds the queries of the planner besides the histories and the app records.
    pub(crate) fn with(mut self, questions: Vec<Question>) -> Self {
        self.questions = questions;
        self
    }

    /// Returns the queries whose answers are part of the basis.
    pub(crate) fn questions(&self) -> &[Question] {
        &self.questions
    }

    /// Describes the first difference to `facts`; `None` if nothing differs.
    pub(crate) fn difference(&self, facts: &Facts<'_>) -> Option<String> {
        if !self.labels.iter().eq(facts.apps.iter().map(|app| &app.label)) {
            return Some("other apps are configured".to_owned());
        }
        let histories = self.labels.iter().zip(&self.histories).zip(facts.histories);
        let changed = histories.filter_map(|((label, before), now)| between(label, before, now)).next();
        changed.or_else(|| apps_between(&self.installed, facts.installed))
    }

    /// Describes the first difference to another basis; `None` if nothing differs.
    pub(crate) fn difference_from(&self, now: &Basis) -> Option<String> {
        if self.labels != now.labels {
            return Some("other apps are affected".to_owned());
        }
        let histories = self.labels.iter().zip(&self.histories).zip(&now.histories);
        let changed = histories.filter_map(|((label, before), now)| between(label, before, now)).next();
        changed.or_else(|| apps_between(&self.installed, &now.installed))
    }

    /// Applies the changes that a run has committed.
    pub(crate) fn advance(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::TableMade(app) => self.history(app, |history| {
                    history.width.get_or_insert(Width::NEW);
                }),
                Change::Recorded(app, row) => self.history(app, |history| {
                    match history.applied.binary_search_by_key(&row.version, |applied| applied.version) {
                        Ok(at) => history.applied[at] = row,
                        Err(at) => history.applied.insert(at, row),
                    }
                }),
                Change::Forgotten(app, version) => {
                    self.history(app, |history| history.applied.retain(|row| row.version != version));
                }
                Change::App(app) => self.installed.insert(app),
                Change::NewIdentity => {
                    (self.installed.copied, self.installed.keeps_identity) = (false, false);
                }
                Change::Installed { app, name, checksum, edition } => {
                    let current = Current { checksum, installed_at: String::new(), edition, edited: false };
                    self.installed.repeatables.installed(app, name, current);
                }
            }
        }
    }

    fn history(&mut self, app: usize, change: impl FnOnce(&mut History)) {
        if let Some(history) = self.histories.get_mut(app) {
            change(history);
        }
    }
}

/// A change of the basis by a transaction.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// The history table of an app was created.
    TableMade(usize),
    /// A row of an app's history was written. The date in the row is empty if only the
    /// database knows it.
    Recorded(usize, Applied),
    /// The row of this version was deleted.
    Forgotten(usize, i64),
    /// The record of an app was written.
    App(InstalledApp),
    /// The database got a new identity.
    NewIdentity,
    /// The text of a repeatable migration was installed.
    Installed { app: String, name: String, checksum: String, edition: Option<i32> },
}

fn name(label: &str, row: &Applied) -> String {
    format!("{label}:V{}__{}", row.version, row.name)
}

/// Returns whether two rows are the same. An unknown date equals every date.
fn is_same(before: &Applied, now: &Applied) -> bool {
    (before.version, &before.name, &before.checksum) == (now.version, &now.name, &now.checksum)
        && (before.applied_on.is_empty() || before.applied_on == now.applied_on)
}

fn between(label: &str, before: &History, now: &History) -> Option<String> {
    if let Some(new) = now.applied.iter().find(|row| before.find(row.version).is_none()) {
        return Some(format!("{} has been applied since", name(label, new)));
    }
    if let Some(gone) = before.applied.iter().find(|row| now.find(row.version).is_none()) {
        return Some(format!("{} is not applied any more", name(label, gone)));
    }
    if before.place != now.place {
        return Some(format!("the history of {label} is in {} now", now.place));
    }
    if before.owner.is_some() && before.owner != now.owner {
        let owner = now.owner.as_deref().unwrap_or_default();
        return Some(format!("the history table of {label} belongs to {owner} now"));
    }
    let other = before.applied.iter().find(|row| !now.find(row.version).is_some_and(|now| is_same(row, now)));
    match other {
        Some(row) => Some(format!("the history row of {} has been replaced", name(label, row))),
        None if before.width != now.width => Some(match (before.width, now.width) {
            (None, _) => format!("the history table of {label} has been made since"),
            (_, None) => format!("the history table of {label} is gone"),
            _ => format!("the history table of {label} has another width"),
        }),
        None => None,
    }
}

fn apps_between(before: &Installed, now: &Installed) -> Option<String> {
    let word = |state: Option<AppState>| match state {
        None | Some(AppState::NotInstalled) => "not installed",
        Some(AppState::Enabled) => "enabled",
        Some(AppState::Disabled) => "disabled",
        Some(AppState::DataKept) => "uninstalled, with its data kept",
    };
    for label in now.apps.keys().chain(before.apps.keys()) {
        let (old, new) = (before.apps.get(label), now.apps.get(label));
        if old.map(|app| app.state) != new.map(|app| app.state) {
            return Some(format!("the app {label} is {} now", word(new.map(|app| app.state))));
        }
        if old != new {
            return Some(format!("the history of the app {label} is elsewhere now"));
        }
    }
    if before.copied != now.copied {
        return Some(match now.copied {
            true => "the database is a copy of another one".to_owned(),
            false => "the database has got an identity of its own since".to_owned(),
        });
    }
    let (old, new) = (&before.repeatables, &now.repeatables);
    if let Some((app, name)) = new.different_from(old) {
        return Some(format!("{app}:R__{name} has been installed since"));
    }
    let rights = |installed: &Installed| {
        (installed.guest, installed.repeatables.owner.clone(), installed.repeatables.read_only)
    };
    (rights(before) != rights(now)).then(|| "the rights on Bustard's own tables are different".to_owned())
}
