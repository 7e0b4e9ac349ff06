//! Where the histories are. Pure.
//!
//! In: the recorded place of each history, and the place that the configuration and the
//! search path lead to. Out: the error for a history that is not where it was recorded.
//!
//! A history that cannot be found is not an empty database: a run would apply everything
//! again.

use super::Facts;
use crate::diagnostic::{Action, Advice, Code, Diagnostic};
use crate::error::{Error, ErrorKind, Result};
use crate::history::{Evidence, Installed, InstalledApp};
use crate::model::History;
use crate::sql::TableName;

/// How a history differs from its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss<'h> {
    /// Another table is found.
    Elsewhere,
    /// The table does not exist any more.
    Gone,
    /// The table does not have the row of this migration, with the time of its application.
    Replaced(i64, &'h str),
}

impl Facts<'_> {
    /// Refuses histories that are not where they were recorded, or not the recorded ones.
    pub(crate) fn check_places(&self) -> Result<()> {
        let lost = (0..self.apps.len()).filter_map(|app| self.lost(app)).collect();
        refused(lost)
    }

    /// Returns whether the history of an app is not where it was recorded, or not the
    /// recorded one.
    pub(crate) fn is_lost(&self, app: usize) -> bool {
        self.lost(app).is_some()
    }

    fn lost(&self, app: usize) -> Option<Diagnostic> {
        self.installed.lost(&self.apps[app].label, &self.histories[app])
    }

    /// Returns a warning for each app that is not configured and whose history table does not
    /// exist any more.
    pub(super) fn lost_elsewhere(&self) -> impl Iterator<Item = Diagnostic> {
        let configured = |label: &str| self.apps.iter().any(|app| app.label == label);
        let lost = self.installed.gone_elsewhere(configured);
        lost.filter_map(|label| self.installed.apps.get(label)).map(|app| {
            let (label, table) = (&app.label, shown(&app.history));
            let message = format!(
                "the history of {label}, which is not configured, is recorded in {table}, and this table does not \
                 exist any more"
            );
            let advice = Advice::text("restore the table; or, if it was moved or renamed, say where it is: ")
                .then(Action::MovedHistory { app: label.clone(), table: "SCHEMA.TABLE".to_owned() })
                .and("; or remove the records of the app: ")
                .then(Action::Forget { app: label.clone() });
            Diagnostic::new(Code::UnconfiguredHistoryLost, message).help(advice)
        })
    }

    /// Returns the configured apps whose histories are in another table than the one that
    /// the configuration and the search path lead to, because `repair` was told so.
    pub(crate) fn pinned(&self) -> impl Iterator<Item = (usize, &InstalledApp)> {
        let recorded = |app: usize| Some((app, self.installed.apps.get(&self.apps[app].label)?));
        let elsewhere =
            |(app, recorded): &(usize, &InstalledApp)| self.histories[*app].place != recorded.history;
        (0..self.apps.len()).filter_map(recorded).filter(|(_, app)| app.pinned).filter(elsewhere)
    }
}

impl Installed {
    /// Compares the record of an app with its history; `None` if it is the recorded one, or
    /// the app has no record.
    pub(crate) fn lost(&self, label: &str, history: &History) -> Option<Diagnostic> {
        let evidence = self.evidence.get(label)?;
        match self.has_history(label, evidence) {
            true => lost(self.apps.get(label)?, evidence, history),
            false => None,
        }
    }
}

/// Returns these diagnostics as one error.
pub(crate) fn refused(lost: Vec<Diagnostic>) -> Result<()> {
    match lost.is_empty() {
        true => Ok(()),
        false => Err(Error::from_diagnostics(ErrorKind::History, lost)),
    }
}

fn lost(recorded: &InstalledApp, evidence: &Evidence, history: &History) -> Option<Diagnostic> {
    let loss = if history.place != recorded.history {
        Loss::Elsewhere
    } else if history.width.is_none() {
        Loss::Gone
    } else {
        let (version, when) = evidence.first.as_ref()?;
        match history.find(*version) {
            Some(row) if row.applied_on == *when => return None,
            _ => Loss::Replaced(*version, when),
        }
    };
    Some(describe(recorded, evidence, history, loss))
}

fn describe(recorded: &InstalledApp, evidence: &Evidence, history: &History, loss: Loss<'_>) -> Diagnostic {
    let label = &recorded.label;
    let (before, now) = (shown(&recorded.history), shown(&history.place));
    let new = Action::NewHistory { app: label.clone() };
    let at = |table: String| Action::MovedHistory { app: label.clone(), table };
    match loss {
        Loss::Elsewhere => {
            let gone = if evidence.exists { "" } else { ", which does not exist any more" };
            let rows = match history.width {
                None => ", which does not exist".to_owned(),
                Some(_) => format!(", which has {}", rows(history)),
            };
            let message = format!(
                "the history of {label} is recorded in {before}{gone}; the configuration and the search path lead to \
                 {now}{rows}"
            );
            let advice = Advice::text(
                "connect as before, so that they lead to the recorded table; or, if the history is elsewhere now, say \
                 where: ",
            );
            let meant = if evidence.exists { before } else { now };
            let advice = advice.then(at(meant)).and("; or apply everything again: ").then(new);
            Diagnostic::new(Code::HistoryElsewhere, message).help(advice)
        }
        Loss::Gone => {
            let message = format!(
                "the history of {label} is recorded in {before}, and this table does not exist any more"
            );
            let advice = Advice::text("restore the table; or, if it was moved or renamed, say where it is: ")
                .then(at("SCHEMA.TABLE".to_owned()))
                .and("; or apply everything again: ")
                .then(new)
                .and("; or remove the records of the app: ")
                .then(Action::Forget { app: label.clone() });
            Diagnostic::new(Code::LostHistory, message).help(advice)
        }
        Loss::Replaced(version, when) => {
            let message = format!(
                "the table {now} is not the history of {label} that was recorded: it has {}, and V{version}, applied on \
                 {when}, is not one of them",
                rows(history)
            );
            let advice = Advice::text("restore the table; or, if it is the history now, accept it: ")
                .then(at(now))
                .and("; or apply everything again: ")
                .then(new);
            Diagnostic::new(Code::ReplacedHistory, message).help(advice)
        }
    }
}

fn rows(history: &History) -> String {
    match history.applied.len() {
        0 => "no rows".to_owned(),
        1 => "1 row".to_owned(),
        n => format!("{n} rows"),
    }
}

/// Returns the name of a table, quoted where necessary.
pub(crate) fn shown(quoted: &str) -> String {
    match TableName::parse(quoted).map(|name| name.parts()) {
        Ok((schema, table)) => TableName::of(schema.as_deref(), &table).to_string(),
        Err(_) => quoted.to_owned(),
    }
}
