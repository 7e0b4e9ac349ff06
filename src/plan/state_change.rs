//! Disabling and enabling apps.
//!
//! In: facts, a label and the new state. Out: the plan, or the reason for a refusal.

use super::{Facts, RunPlan};
use crate::diagnostic::{Action, Advice, nearest};
use crate::error::{Error, ErrorKind, Result};
use crate::history::{AppState, InstalledApp};
use crate::model::BUSTARD;

impl Facts<'_> {
    /// Plans writing the state of an app. The plan is empty if the app already has that
    /// state. `history` is the name of the app's history table, quoted for SQL, if the app
    /// is loaded.
    pub(crate) fn plan_state(&self, label: &str, to: AppState, history: &str) -> Result<RunPlan> {
        if !self.changes_state(label, to)? {
            return Ok(self.plan_steps(Vec::new()));
        }
        let loaded = self.apps.iter().any(|app| app.label == label);
        let history = match self.installed.apps.get(label) {
            Some(app) if !loaded => app.history.clone(),
            _ => history.to_owned(),
        };
        let pinned = self.installed.apps.get(label).is_some_and(|app| app.pinned);
        Ok(self.plan_state_of(InstalledApp { label: label.to_owned(), history, state: to, pinned }))
    }

    /// Returns whether the app has another state, or the error that forbids the change.
    fn changes_state(&self, label: &str, to: AppState) -> Result<bool> {
        let verb = if to == AppState::Disabled { "disabled" } else { "enabled" };
        self.check_database()?;
        if label == BUSTARD {
            return Err(Error::usage(format!("Bustard's own tables cannot be {verb}: every app needs them")));
        }
        self.needs_records()?;
        let loaded = self.apps.iter().map(|app| app.label.as_str());
        let known: Vec<&str> = loaded.chain(self.installed.apps.keys().map(String::as_str)).collect();
        if !known.contains(&label) {
            let mut names: Vec<&str> = known.into_iter().filter(|name| *name != BUSTARD).collect();
            names.sort_unstable();
            names.dedup();
            let error = Error::usage(format!("there is no app {label}, neither here nor in the database"));
            return Err(suggest(error, label, &names));
        }
        if self.installed.guest {
            return Err(foreign_tables(&format!("{label} cannot be {verb}")));
        }
        match self.installed.state(label) {
            Some(AppState::DataKept) => {
                let message = format!("{label} cannot be {verb}: it was uninstalled, and its data kept");
                Err(Error::usage(message)
                    .help(Advice::from(Action::Migrate).and(" with its files restores it")))
            }
            // An app without a record is enabled.
            state => Ok(state.unwrap_or(AppState::Enabled) != to),
        }
    }
}

/// Adds a suggestion for an unknown label.
pub(crate) fn suggest(error: Error, label: &str, known: &[&str]) -> Error {
    match (nearest(label, known.iter().copied()), known) {
        (Some(near), _) => error.help(format!("did you mean {near}?")),
        (None, []) => error.help("there is none"),
        (None, _) => error.help(format!("there are: {}", known.join(", "))),
    }
}

/// Returns the error for an action that only the owner of Bustard's own tables may perform.
pub(crate) fn foreign_tables(what: &str) -> Error {
    Error::new(ErrorKind::Failed, format!("{what} by this role: Bustard's own tables belong to another role"))
        .help("do it as the role that owns them")
}
