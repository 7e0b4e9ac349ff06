//! Executing plans: the lock, the loop over batches, and the work of each step.
//!
//! In: a plan, the sources that it was made from and a session. Out: the report of the
//! committed steps. Only `execute` opens transactions. A step writes history and records.
//! Every transaction that changes anything ends by invalidating all caches.

pub(crate) mod caches;
pub(crate) mod describe;
mod events;
mod execute;
mod lock;
pub(crate) mod preflight;
pub(crate) mod removal;
mod repair;
mod return_app;
mod revert_records;
mod steps;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::time::Instant;

pub use events::Event;
pub(crate) use events::Listeners;
pub(crate) use execute::{OnChange, changed};

use crate::diagnostic::{Advice, Diagnostic};
use crate::engine::Session;
use crate::plan::{Allow, Change, Facts, Sources};
use crate::registry;
use crate::report::{AppChange, HistoryChange, Notice, Report, StepReport, UnregisteredCache};

/// The options of a run, beside its plan.
#[derive(Clone)]
pub(crate) struct Options<'o> {
    /// Whether SQL and functions of migrations are left out.
    pub fake: bool,
    pub allow: Allow,
    /// The roles that may use caches, if they are configured.
    pub grant: Option<&'o [String]>,
    pub listeners: &'o Listeners,
    /// The advice to add after a failed step, if its statements cannot be changed.
    pub advice: Option<Advice>,
}

/// A run in progress.
pub(crate) struct Run<'r> {
    options: Options<'r>,
    sources: &'r Sources,
    /// The committed steps.
    report: Report,
    /// The effects of the open transaction.
    open: Open,
    /// The apps whose history table exists and was verified by refinery.
    verified: HashSet<usize>,
    /// Whether Bustard's own tables exist.
    has_registry: bool,
    /// Whether the records cannot be read yet, because their tables do not exist.
    unreadable: bool,
    /// Whether a plan was refused because the database has changed.
    outdated: bool,
    started: Instant,
}

/// The effects of the open transaction so far.
#[derive(Default)]
struct Open {
    /// The number of migrations in the transaction.
    migrations: usize,
    steps: Vec<StepReport>,
    apps: Vec<AppChange>,
    changes: Vec<Change>,
    /// The apps whose records the transaction has written.
    written: HashSet<usize>,
    histories: Vec<HistoryChange>,
    restored_caches: Vec<UnregisteredCache>,
    /// Whether the database got a new identity.
    new_identity: bool,
    /// Whether missing tables of Bustard's own were created again.
    reinstalled: bool,
    granted: bool,
    restored: Vec<registry::MissingTrigger>,
    /// What the server has said.
    notices: Vec<Notice>,
    /// Whether the transaction has changed data behind caches.
    invalidates: bool,
}

impl<'r> Run<'r> {
    pub(crate) fn new(options: Options<'r>, sources: &'r Sources, facts: &Facts<'_>) -> Self {
        let mut warnings = sources.warnings.clone();
        warnings.extend(facts.warnings());
        Run {
            options,
            sources,
            report: Report { warnings, ..Report::default() },
            open: Open::default(),
            verified: HashSet::new(),
            has_registry: facts.has_registry(),
            unreadable: facts.installed.unreadable,
            outdated: false,
            started: Instant::now(),
        }
    }

    /// Notifies readers, and returns the report.
    pub(crate) fn end(mut self, session: &mut dyn Session) -> Report {
        if self.report.changed() && self.has_registry {
            self.report.warnings.extend(registry::after_commit(session));
        }
        self.report.elapsed = self.started.elapsed();
        self.report
    }

    /// Adds warnings to the report.
    pub(crate) fn warn(&mut self, warnings: impl Iterator<Item = Diagnostic>) {
        self.report.warnings.extend(warnings);
    }

    /// Adds restored triggers to the report.
    pub(crate) fn restored(&mut self, missing: Vec<registry::MissingTrigger>) {
        self.report.missing_triggers = missing;
    }

    /// Returns whether a batch has committed.
    pub(crate) fn has_committed(&self) -> bool {
        self.report.changed()
    }

    pub(crate) fn has_granted(&self) -> bool {
        self.report.granted.is_some()
    }

    pub(crate) fn is_outdated(&self) -> bool {
        self.outdated
    }
}
