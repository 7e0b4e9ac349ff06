//! Disabling and enabling apps: whether it may be done, and the plan of it.

use super::{Facts, RunPlan};
use crate::diagnostic::{Action, Advice, nearest};
use crate::error::{Error, ErrorKind, Result};
use crate::history::{AppState, InstalledApp};
use crate::model::BUSTARD;

impl Facts<'_> {
    /// The plan that writes the state of an app; an empty one where it has that state.
    /// `history` is where the app's history is, quoted for SQL, if the app is loaded.
    pub(crate) fn plan_state(&self, label: &str, to: AppState, history: &str) -> Result<RunPlan> {
        if !self.changes_state(label, to)? {
            return Ok(RunPlan::default());
        }
        let loaded = self.apps.iter().any(|app| app.label == label);
        let history = match self.installed.apps.get(label) {
            Some(app) if !loaded => app.history.clone(),
            _ => history.to_owned(),
        };
        Ok(self.plan_state_of(InstalledApp { label: label.to_owned(), history, state: to }))
    }

    /// Whether the app has another state, and may be given this one.
    fn changes_state(&self, label: &str, to: AppState) -> Result<bool> {
        let verb = if to == AppState::Disabled { "disabled" } else { "enabled" };
        self.check_version()?;
        if label == BUSTARD {
            return Err(Error::usage(format!("Bustard's own tables cannot be {verb}: every app needs them")));
        }
        if !self.has_registry() {
            return Err(Error::new(
                ErrorKind::Failed,
                "the database does not know yet which apps are installed",
            )
            .help(Advice::text("run ").then(Action::Migrate).and(" first")));
        }
        let loaded = self.apps.iter().map(|app| app.label.as_str());
        let known: Vec<&str> = loaded.chain(self.installed.apps.keys().map(String::as_str)).collect();
        if !known.contains(&label) {
            let mut names: Vec<&str> = known.into_iter().filter(|name| *name != BUSTARD).collect();
            names.sort_unstable();
            names.dedup();
            let error = Error::usage(format!("there is no app {label}, neither here nor in the database"));
            return Err(suggest(error, label, &names));
        }
        if self.installed.foreign.contains(label) {
            let message = format!(
                "another app with the label {label} is installed in this database, with another history"
            );
            return Err(Error::new(ErrorKind::Failed, message).help("give one of them another label"));
        }
        if self.installed.guest {
            return Err(foreign_tables(&format!("{label} cannot be {verb}")));
        }
        match self.installed.state(label) {
            Some(AppState::DataKept) => {
                let message = format!("{label} cannot be {verb}: it was uninstalled, and its data kept");
                Err(Error::usage(message)
                    .help(Advice::from(Action::Migrate).and(" with its files brings it back")))
            }
            // No row is as good as one that says enabled.
            state => Ok(state.unwrap_or(AppState::Enabled) != to),
        }
    }
}

/// Says which labels there are in place of one that is none.
pub(crate) fn suggest(error: Error, label: &str, known: &[&str]) -> Error {
    match (nearest(label, known.iter().copied()), known) {
        (Some(near), _) => error.help(format!("did you mean {near}?")),
        (None, []) => error.help("there is none"),
        (None, _) => error.help(format!("there are: {}", known.join(", "))),
    }
}

/// About what only the owner of Bustard's own tables may do.
pub(crate) fn foreign_tables(what: &str) -> Error {
    Error::new(ErrorKind::Failed, format!("{what} by this role: Bustard's own tables are another's"))
        .help("do it as the role that owns them")
}
