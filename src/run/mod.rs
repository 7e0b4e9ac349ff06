//! Executing plans: the lock, the one loop over batches, and what each step does.
//!
//! In: a plan, the sources that it was made from and a session. Out: the report of
//! what was committed. `execute` alone opens transactions; a step that it runs writes
//! history and records, and every transaction that changed anything ends by
//! invalidating all caches.

pub(crate) mod caches;
pub(crate) mod describe;
mod events;
mod execute;
mod lock;
pub(crate) mod preflight;
pub(crate) mod removal;
mod return_app;
mod revert_records;
mod steps;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::time::{Duration, Instant};

pub use events::Event;
pub(crate) use events::Listeners;
pub(crate) use execute::{OnChange, changed};

use crate::diagnostic::Advice;
use crate::engine::Session;
use crate::plan::{Allow, Change, Facts, Sources};
use crate::registry;
use crate::report::{AppChange, Report, StepReport};

/// What a run is told beside its plan.
#[derive(Clone)]
pub(crate) struct Options<'o> {
    pub lock_wait: Duration,
    /// Whether SQL and functions of migrations are left out.
    pub fake: bool,
    pub allow: Allow,
    /// The roles that may use caches, where they are configured.
    pub grant: Option<&'o [String]>,
    pub listeners: &'o Listeners,
    /// What to do after a failed step.
    pub advice: Advice,
}

/// A run under way.
pub(crate) struct Run<'r> {
    options: Options<'r>,
    sources: &'r Sources,
    /// What has committed.
    report: Report,
    /// What the open transaction has done.
    open: Open,
    /// Apps whose history refinery has verified and whose table is there.
    verified: HashSet<usize>,
    /// Whether Bustard's own tables are there.
    has_registry: bool,
    /// Whether a plan was refused, since the database has changed.
    outdated: bool,
    started: Instant,
}

/// What the open transaction has done so far.
#[derive(Default)]
struct Open {
    steps: Vec<StepReport>,
    apps: Vec<AppChange>,
    changes: Vec<Change>,
    /// Apps whose records it has written.
    written: HashSet<usize>,
    granted: bool,
    restored: Vec<registry::MissingTrigger>,
    /// Whether it has changed what caches depend on.
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
            outdated: false,
            started: Instant::now(),
        }
    }

    /// Lets readers know, and reports.
    pub(crate) fn end(mut self, session: &mut dyn Session) -> Report {
        if self.report.changed() {
            registry::after_commit(session);
        }
        self.report.elapsed = self.started.elapsed();
        self.report
    }

    /// Reports triggers that the commits have restored.
    pub(crate) fn restored(&mut self, missing: Vec<registry::MissingTrigger>) {
        self.report.missing_triggers = missing;
    }

    pub(crate) fn has_granted(&self) -> bool {
        self.report.granted.is_some()
    }

    pub(crate) fn is_outdated(&self) -> bool {
        self.outdated
    }
}
