//! The loop over the batches: lock, compare the basis, execute the steps of a batch,
//! invalidate, commit.
//!
//! In: a plan and a session. Out: committed batches in the report, or the error of a batch.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::lock::{Level, Lock};
use super::{Event, Open, Run, preflight};
use crate::diagnostic::{Action, Advice, Code};
use crate::engine::{Opened, Session, Transaction};
use crate::error::{Error, ErrorKind, Result};
use crate::history::{Installed, app_rows};
use crate::model::{BUSTARD, LoadedApp, Operation};
use crate::plan::{Basis, Batch, BatchMode, Facts, RunPlan, Step};
use crate::registry;
use crate::report::{Notice, StepReport};

/// The reaction if the database has changed since the plan was made.
#[derive(Clone, Copy)]
pub(crate) enum OnChange<'c> {
    /// Make the plan again from the current state.
    PlanAgain(&'c dyn Fn(&Facts<'_>) -> Result<RunPlan>),
    /// Refuse, because a person was shown the plan.
    Refuse,
}

/// The number of attempts of a transaction that conflicts with other sessions.
const TRIES: u32 = 5;

impl Run<'_> {
    /// Executes a plan. An error lists the steps that committed before the error. The
    /// failed batch is rolled back.
    pub(crate) fn execute(
        &mut self,
        session: &mut dyn Session,
        plan: RunPlan,
        on_change: OnChange<'_>,
    ) -> Result<()> {
        let steps = plan.migrations().count();
        if !plan.is_empty() {
            self.options.listeners.tell(Event::Planned { steps });
        }
        let RunPlan { mut basis, batches } = plan;
        let mut batches = VecDeque::from(batches);
        while !batches.is_empty() {
            self.batch(session, &mut basis, &mut batches, on_change)?;
        }
        Ok(())
    }

    /// Executes the first of the batches. Repeats it after a conflict with another session.
    fn batch(
        &mut self,
        session: &mut dyn Session,
        basis: &mut Basis,
        batches: &mut VecDeque<Batch>,
        on_change: OnChange<'_>,
    ) -> Result<()> {
        let mut pause = Duration::from_millis(50);
        let tries = if batches.front().is_some_and(|batch| self.is_repeatable(batch)) { TRIES } else { 1 };
        for _ in 1..tries {
            match self.attempt(session, basis, batches, on_change) {
                Err(error) if is_passing(&error) => {
                    log::info!("retrying the transaction after a conflict with another session: {error}");
                    thread::sleep(pause);
                    pause *= 2;
                }
                Err(error) => return Err(self.failed(session, error)),
                Ok(()) => return Ok(()),
            }
        }
        self.attempt(session, basis, batches, on_change).map_err(|error| self.failed(session, error))
    }

    /// Returns whether a batch can be executed again after a rollback: it calls no function.
    fn is_repeatable(&self, batch: &Batch) -> bool {
        let plain = |operation: &Operation| operation.function().is_none();
        batch.steps.iter().filter_map(Step::migration).all(|(app, migration)| {
            let migration = self.sources.apps[app].migrations[migration].migration();
            migration.operations.iter().chain(migration.down.iter().flatten()).all(plain)
        })
    }

    /// Returns the error that refuses a plan that a person was shown. The batches that are
    /// already committed stay.
    fn changed(&self, what: &str) -> Error {
        match self.report.steps.len() {
            0 => changed(what),
            done => changed(what).help(format!(
                "{done} of the migrations in the plan are done: see the state of the others, and make a new plan for them"
            )),
        }
    }

    fn attempt(
        &mut self,
        session: &mut dyn Session,
        basis: &mut Basis,
        batches: &mut VecDeque<Batch>,
        on_change: OnChange<'_>,
    ) -> Result<()> {
        let (sources, options) = (self.sources, self.options.clone());
        let told = Cell::new(false);
        let on_wait = || {
            if !told.replace(true) {
                options.listeners.tell(Event::Waiting);
            }
        };
        let notices = Mutex::new(Vec::new());
        let listeners = options.listeners;
        let on_notice = |notice: Notice| {
            notices.lock().unwrap_or_else(PoisonError::into_inner).push(notice.clone());
            listeners.tell(Event::Notice(notice));
        };
        let lock = Lock { level: Level::Transaction, on_wait: &on_wait, on_notice: &on_notice };
        let query = (self.has_registry && !self.unreadable).then(|| app_rows::query(session.dialect()));
        let started = Instant::now();
        let mut committed = false;
        let ended = lock.transaction(
            session,
            &sources.tables(),
            query.as_deref(),
            &mut |transaction, opened: Opened| {
                self.open = Open::default();
                // An app may have been uninstalled since the last batch.
                self.verified.retain(|app| opened.histories[*app].width.is_some());
                let installed = installed(self, transaction, &opened)?;
                let facts = sources.facts(&opened.histories, &installed);
                self.has_registry |= facts.has_registry();
                self.compare(transaction, &facts, basis, batches, on_change)?;
                let Some(batch) = batches.front() else { return Ok(false) };
                committed = match batch.mode {
                    BatchMode::Transaction => self.steps(transaction, &facts, batch)?,
                };
                Ok(committed)
            },
        );
        self.open.notices = notices.into_inner().unwrap_or_else(PoisonError::into_inner);
        ended?;
        batches.pop_front();
        if committed {
            self.take_over(basis, started);
        }
        Ok(())
    }

    /// Compares the basis of the plan with the current state.
    fn compare(
        &mut self,
        transaction: &mut dyn Transaction,
        facts: &Facts<'_>,
        basis: &mut Basis,
        batches: &mut VecDeque<Batch>,
        on_change: OnChange<'_>,
    ) -> Result<()> {
        let mut difference = basis.difference(facts);
        for question in basis.questions() {
            if difference.is_none() && transaction.rows(&question.sql)? != question.answer {
                difference = Some("what it would remove is different".to_owned());
            }
        }
        let Some(what) = difference else { return Ok(()) };
        match on_change {
            OnChange::Refuse => {
                self.outdated = true;
                Err(self.changed(&what))
            }
            OnChange::PlanAgain(plan) => {
                log::debug!("the plan is made again: {what}");
                let dialect = transaction.dialect();
                preflight::settle(facts, dialect, |sql| transaction.rows(sql))?;
                let again = plan(facts)?;
                *basis = again.basis;
                *batches = again.batches.into();
                Ok(())
            }
        }
    }

    /// Executes the steps of a batch. Returns whether they changed anything.
    fn steps(&mut self, transaction: &mut dyn Transaction, facts: &Facts<'_>, batch: &Batch) -> Result<bool> {
        let mut changed = false;
        self.open.migrations = batch.steps.iter().filter(|step| step.migration().is_some()).count();
        for step in &batch.steps {
            changed |= self.step(transaction, facts, step)?;
        }
        if changed && self.open.invalidates {
            // Every transaction that changes data behind caches ends with these two calls.
            registry::in_transaction::install_triggers(transaction)?;
            registry::in_transaction::invalidate_all(transaction)?;
        }
        Ok(changed)
    }

    /// Adds the committed transaction to the report.
    fn take_over(&mut self, basis: &mut Basis, started: Instant) {
        let mut open = std::mem::take(&mut self.open);
        if let [only] = open.steps.as_mut_slice() {
            only.elapsed = started.elapsed();
        }
        basis.advance(open.changes);
        self.has_registry |= open.steps.iter().any(|step| step.app == BUSTARD);
        self.report.apps.append(&mut open.apps);
        self.unreadable = false;
        self.report.reinstalled |= open.reinstalled;
        if open.new_identity {
            self.report.new_identity = true;
            self.options.listeners.tell(Event::NewIdentity);
        }
        self.report.restored_caches.append(&mut open.restored_caches);
        self.report.histories.append(&mut open.histories);
        self.report.missing_triggers.append(&mut open.restored);
        self.report.notices.append(&mut open.notices);
        if open.granted {
            self.report.granted = self.options.grant.map(<[String]>::to_vec);
        }
        for step in open.steps {
            self.report.steps.push(step.clone());
            self.options.listeners.tell(Event::Finished { index: self.report.steps.len(), step });
        }
    }

    /// Adds the migrations that had committed before to the error of a batch.
    fn failed(&mut self, session: &mut dyn Session, error: Error) -> Error {
        let name = |step: &StepReport| format!("{}:{}", step.app, step.migration);
        if self.report.changed() && self.has_registry && error.kind() != ErrorKind::Connection {
            let warning = registry::after_commit(session);
            warning.iter().for_each(|warning| log::warn!("{warning}"));
        }
        let file = self.sources.file_of(error.app(), error.migration()).cloned();
        let error = match error.kind() {
            // The server reported the error at the commit, and did not say which migration
            // caused it.
            ErrorKind::Database if error.migration().is_none() && self.open.steps.len() > 1 => {
                let names: Vec<String> = self.open.steps.iter().map(name).collect();
                let message = format!("{} (one of {})", error.message(), names.join(", "));
                error.with_message(message)
            }
            ErrorKind::Database | ErrorKind::Failed if error.migration().is_some() => {
                let error = match self.meets_its_tables(&error) {
                    true => error.help(
                        Advice::text(
                            "if the database has the schema of these migrations already, record them without running them: ",
                        )
                        .then(Action::Fake),
                    ),
                    false => error,
                };
                match &self.options.advice {
                    Some(advice) => error.and_help(advice.clone()),
                    None => error.or_help("correct it and run again"),
                }
            }
            _ => error,
        };
        let mut notices = std::mem::take(&mut self.report.notices);
        notices.append(&mut self.open.notices);
        // Bustard's own functions are not listed, because they belong to its tables.
        let told = |step: &&StepReport| step.app != BUSTARD || !step.migration.is_repeatable();
        let applied = self.report.steps.iter().filter(told).map(name).collect();
        error.with_default_place(file).after(applied).with_notices(notices)
    }

    /// Returns whether a migration of an app without applied ones tried to create what exists.
    fn meets_its_tables(&self, error: &Error) -> bool {
        let exists = matches!(error.sqlstate(), Some("42P07" | "42P06" | "42710" | "42723"))
            || error.server_message().is_some_and(|message| message.ends_with(" already exists"));
        let none = !self.report.steps.iter().any(|step| Some(step.app.as_str()) == error.app());
        let first = |app: &LoadedApp| {
            app.versioned()
                .first()
                .is_some_and(|first| Some(first.id.to_string().as_str()) == error.migration())
        };
        let app = self.sources.apps.iter().find(|app| Some(app.label.as_str()) == error.app());
        exists && none && error.app() != Some(BUSTARD) && app.is_some_and(first)
    }

    fn step(&mut self, transaction: &mut dyn Transaction, facts: &Facts<'_>, step: &Step) -> Result<bool> {
        match step {
            Step::Apply(node) => self.apply(transaction, facts, *node)?,
            Step::Revert(node) => self.revert(transaction, facts, *node)?,
            Step::Accept(node) => self.accept(transaction, facts, *node)?,
            Step::AdoptApp(app) => self.adopt(transaction, facts, *app)?,
            Step::ReturnApp(app) => self.return_app(transaction, facts, *app)?,
            Step::SetApp(app) => self.set_app(transaction, facts, app)?,
            Step::Reinstall(node) => self.reinstall(transaction, facts, *node)?,
            Step::RestoreCaches(lost) => return self.restore_caches(transaction, facts, lost),
            Step::SetHistory { app, new } => self.set_history(transaction, facts, app, *new)?,
            Step::NewIdentity => self.give_identity(transaction)?,
            Step::CheckDeferred => return self.check_deferred(transaction).map(|()| false),
            Step::CheckReferences(tables) => {
                return self.check_references(transaction, tables).map(|()| false);
            }
            Step::UnregisterCaches { apps, keep_sources } => {
                return self.unregister_caches(transaction, apps, *keep_sources);
            }
            Step::ForgetApp(label) => self.forget_app(transaction, label)?,
            Step::RestoreTriggers => return self.restore_triggers(transaction),
            Step::SettleOwner => self.settle_owner(transaction)?,
            Step::Grant => return self.grant(transaction),
        }
        Ok(true)
    }
}

/// Returns whether the transaction failed because of another session: a lock was not
/// available, the sessions waited for each other, or both replaced the same function.
fn is_passing(error: &Error) -> bool {
    match error.sqlstate() {
        // The time for waiting is over.
        _ if error.kind() == ErrorKind::Locked => false,
        Some("55P03" | "40P01") => true,
        Some("XX000") => error.server_message().is_some_and(|message| message.contains("tuple concurrently")),
        _ => false,
    }
}

/// Returns the error that refuses a plan because the database has changed.
pub(crate) fn changed(what: &str) -> Error {
    let message = format!("the database has changed since the plan was made: {what}");
    Error::new(ErrorKind::Failed, message)
        .with_code(Code::OutdatedPlan)
        .after(Vec::new())
        .help("review the new plan, and run the command again")
}

/// Returns the state of apps under the lock. It was read together with the histories,
/// unless Bustard's own tables were created after the plan was made.
fn installed(run: &Run<'_>, transaction: &mut dyn Transaction, opened: &Opened) -> Result<Installed> {
    let unknown = Installed::default();
    let rows = match &opened.rows {
        Some(rows) => rows.clone(),
        None if run.unreadable => return Ok(Installed::unreadable()),
        None if run.sources.facts(&opened.histories, &unknown).has_registry() => {
            transaction.rows(&app_rows::query(transaction.dialect()))?
        }
        None => return Ok(unknown),
    };
    app_rows::installed(rows)
}
