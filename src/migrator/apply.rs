//! Carrying a plan out: what happens between BEGIN and COMMIT.

use std::cell::Cell;
use std::collections::HashSet;
use std::time::Instant;

use super::{
    AppChange, Direction, Done, Event, How, Loaded, Migrator, Report, TransactionMode, caches, lock,
    preflight,
};
use crate::diagnostic::{Diagnostic, Place};
use crate::engine::{Opened, Opening, Session, Transaction};
use crate::error::{Error, ErrorKind, Result};
use crate::failpoint;
use crate::graph::Node;
use crate::history::{AppState, Installed};
use crate::history::{app_rows, refinery};
use crate::model::BUSTARD;
use crate::model::{Form, Operation, Statement};
use crate::plan::{Facts, KEEPS_RECORDS, Revert, State, TRACKS_TABLES};
use crate::registry::in_transaction::Scope;
use crate::registry::{self, UntrackedTable};
use crate::sql::Dialect;

/// A run under way.
pub(super) struct Run<'r> {
    migrator: &'r Migrator,
    loaded: &'r Loaded,
    /// Committed.
    done: Vec<Done>,
    /// Done in the open transaction.
    pub open: Vec<Done>,
    /// The apps that stand otherwise since then, and in the open transaction.
    apps: Vec<AppChange>,
    pub open_apps: Vec<AppChange>,
    /// The apps whose rows the open transaction has written.
    pub written: HashSet<usize>,
    /// Whether the database has told how apps stand.
    knows_apps: bool,
    warnings: Vec<Diagnostic>,
    /// Apps whose history refinery has verified and whose table is there.
    verified: HashSet<usize>,
    /// The last transaction left something pending.
    unfinished: bool,
    /// Where triggers were missing before the run.
    retracked: Vec<UntrackedTable>,
    pub started: Instant,
}

impl Migrator {
    pub(super) fn forward(&self, loaded: &Loaded, session: &mut dyn Session) -> Result<Report> {
        let mut run = Run::new(self, loaded);
        let choose = |facts: &Facts<'_>| facts.forward(self.wanted());
        let found = self.look(loaded, session, Direction::Up, choose)?;
        run.begin(&loaded.facts(&found.seen.histories, &found.seen.installed));
        let nothing = found.is_nothing();
        if !nothing {
            self.tell(Event::Planned { steps: found.steps.len() });
            let at_once = match self.transaction {
                TransactionMode::Each => 1,
                TransactionMode::All => usize::MAX,
            };
            // Somebody else may be applying the same migrations: each transaction
            // finds out what is left, and the run ends when it leaves nothing.
            run.unfinished = true;
            while run.unfinished {
                run.transaction(session, |run, transaction, facts| run.up(transaction, facts, at_once))?;
            }
        }
        let untracked = found.repairable();
        match nothing && !untracked.is_empty() {
            true => run.transaction(session, |run, transaction, _| run.retrack(transaction)).map(drop)?,
            false => run.retracked = untracked,
        }
        let mut granted = None;
        if let Some(roles) = self.grant.as_deref()
            && session.registry().grants_differ(session, roles)?
        {
            run.transaction(session, |run, transaction, facts| {
                transaction.registry().set_grants(transaction, roles, run.tracks_tables(facts)).map(|()| true)
            })?;
            granted = Some(roles.to_vec());
        }
        Ok(run.end(session, granted))
    }

    pub(super) fn backward(&self, loaded: &Loaded, session: &mut dyn Session, to: &Revert) -> Result<Report> {
        let mut run = Run::new(self, loaded);
        let dialect = session.dialect();
        let choose = |facts: &Facts<'_>| {
            let steps = facts.backward(to)?;
            steps.iter().try_for_each(|node| undo(facts, *node, dialect).map(drop))?;
            Ok(steps)
        };
        let found = self.look(loaded, session, Direction::Down, choose)?;
        run.begin(&loaded.facts(&found.seen.histories, &found.seen.installed));
        let steps = found.steps;
        if !steps.is_empty() {
            self.tell(Event::Planned { steps: steps.len() });
        }
        let at_once = match self.transaction {
            TransactionMode::Each => 1,
            TransactionMode::All => steps.len().max(1),
        };
        for nodes in steps.chunks(at_once) {
            run.transaction(session, |run, transaction, facts| run.down(transaction, facts, nodes))?;
        }
        Ok(run.end(session, None))
    }
}

/// The operator, whatever the search path says.
/// What undoes a migration, or why nothing does.
fn undo(facts: &Facts<'_>, node: Node, dialect: &'static dyn Dialect) -> Result<Vec<Operation>> {
    let loaded = facts.migration(node);
    loaded.migration.undo().map_err(|operation| {
        let what = operation.describe(dialect);
        Error::new(ErrorKind::Usage, format!("cannot be undone: {what}"))
            .in_migration(&facts.apps[node.0].label, &loaded.id)
            .at(operation.place().or(loaded.file.as_ref()).cloned())
            .help("say how: in SQL by what follows `-- bustard: down`, in Rust with `Migration::down`")
    })
}

impl<'r> Run<'r> {
    pub(super) fn new(migrator: &'r Migrator, loaded: &'r Loaded) -> Self {
        Run {
            migrator,
            loaded,
            done: Vec::new(),
            open: Vec::new(),
            apps: Vec::new(),
            open_apps: Vec::new(),
            written: HashSet::new(),
            knows_apps: false,
            warnings: loaded.warnings.clone(),
            verified: HashSet::new(),
            unfinished: false,
            retracked: Vec::new(),
            started: Instant::now(),
        }
    }

    /// Takes notice of what the first look has found.
    pub(super) fn begin(&mut self, facts: &Facts<'_>) {
        self.knows_apps = facts.keeps_records();
        self.warnings.extend(facts.warnings());
    }

    pub(super) fn end(self, session: &mut dyn Session, granted: Option<Vec<String>>) -> Report {
        if self.has_committed() || !self.retracked.is_empty() {
            registry::after_commit(session);
        }
        self.report(granted)
    }

    fn has_committed(&self) -> bool {
        !self.done.is_empty() || !self.apps.is_empty()
    }

    pub(super) fn report(self, granted: Option<Vec<String>>) -> Report {
        Report {
            steps: self.done,
            apps: self.apps,
            retracked: self.retracked,
            granted,
            warnings: self.warnings,
            elapsed: self.started.elapsed(),
        }
    }

    /// One transaction; whether it changed anything. An error lists what had
    /// committed before it.
    pub(super) fn transaction(
        &mut self,
        session: &mut dyn Session,
        mut work: impl FnMut(&mut Self, &mut dyn Transaction, &Facts<'_>) -> Result<bool>,
    ) -> Result<bool> {
        let migrator = self.migrator;
        let told = Cell::new(false);
        let on_wait = || {
            if !told.replace(true) {
                migrator.tell(Event::Waiting);
            }
        };
        let loaded = self.loaded;
        let dialect = session.dialect();
        let query = self.knows_apps.then(|| app_rows::apps_query(dialect));
        let (tables, lock_wait) = (&loaded.tables, migrator.lock_wait);
        let opening = Opening { tables, query, lock_wait, on_wait: &on_wait };
        let started = Instant::now();
        let mut changed = false;
        let ran =
            lock::transaction(session, &opening, &mut |transaction: &mut dyn Transaction, opened: Opened| {
                self.written.clear();
                // An app may have been uninstalled since the last one.
                self.verified.retain(|app| opened.histories[*app].width.is_some());
                let installed = installed(loaded, transaction, &opened)?;
                let facts = loaded.facts(&opened.histories, &installed);
                preflight::settle(&facts, dialect, |sql| transaction.rows(sql))?;
                changed = work(self, transaction, &facts)?;
                Ok(changed)
            });
        if let Err(error) = ran {
            let name = |done: &Done| format!("{}:{}", done.app, done.migration);
            if self.has_committed() && error.kind() != ErrorKind::Connection {
                registry::after_commit(session);
            }
            let file = loaded.file_of(error.app(), error.migration()).cloned();
            let error = match error.kind() {
                // Found at the commit, which does not tell which one it is about.
                ErrorKind::Database if error.migration().is_none() && self.open.len() > 1 => {
                    let names: Vec<String> = self.open.iter().map(name).collect();
                    let message = format!("{} (one of {})", error.message(), names.join(", "));
                    error.with_message(message)
                }
                ErrorKind::Database | ErrorKind::Failed if error.migration().is_some() => {
                    error.or_help("correct it and run again")
                }
                _ => error,
            };
            return Err(error.or_in_file(file).after(self.done.iter().map(name).collect()));
        }
        if let [only] = self.open.as_mut_slice() {
            only.elapsed = started.elapsed();
        }
        self.knows_apps |= self.has_made(KEEPS_RECORDS);
        self.apps.append(&mut self.open_apps);
        for done in self.open.drain(..) {
            self.done.push(done);
            migrator.tell(Event::Finished { index: self.done.len() });
        }
        Ok(changed)
    }

    /// Applies as many of the pending migrations as are wanted at once.
    fn up(&mut self, transaction: &mut dyn Transaction, facts: &Facts<'_>, at_once: usize) -> Result<bool> {
        facts.check(self.migrator.allow)?;
        let steps = facts.forward(self.migrator.wanted())?;
        let returning = facts.returning(self.migrator.wanted())?;
        self.unfinished = steps.len() > at_once;
        if steps.is_empty() && returning.is_empty() {
            return Ok(false);
        }
        self.bring_back(transaction, facts, &returning)?;
        for &node in steps.iter().take(at_once) {
            transaction.enter(&facts.apps[node.0].label, &facts.migration(node).id.to_string());
            self.prepare(transaction, facts, node.0)?;
            self.step(transaction, facts, node, Direction::Up)?;
        }
        self.adopt(transaction, facts)?;
        self.invalidate(transaction, facts, Direction::Up)?;
        Ok(true)
    }

    /// Undoes those of the migrations that are still applied, unless another run
    /// has applied what needs them since they were chosen.
    fn down(&mut self, transaction: &mut dyn Transaction, facts: &Facts<'_>, nodes: &[Node]) -> Result<bool> {
        facts.check(self.migrator.allow)?;
        if let Some((needed, by)) = facts.needed(nodes) {
            let (needed, by) = (facts.name(needed), facts.name(by));
            let message = format!("{needed} cannot be undone any more: another run has applied {by} since");
            return Err(Error::new(ErrorKind::Failed, message)
                .help("run again: what needs it is then undone as well, see `bustard status`"));
        }
        let mut changed = false;
        for &node in nodes {
            if !matches!(facts.state(node), State::Applied | State::Divergent) {
                continue;
            }
            self.step(transaction, facts, node, Direction::Down)?;
            changed = true;
        }
        if changed {
            self.invalidate(transaction, facts, Direction::Down)?;
        }
        Ok(changed)
    }

    /// Has refinery make the app's history table, if need be, and verify it.
    fn prepare(&mut self, transaction: &mut dyn Transaction, facts: &Facts<'_>, app: usize) -> Result<()> {
        if !self.verified.insert(app) {
            return Ok(());
        }
        let (history, loaded) = (&facts.histories[app], &facts.apps[app]);
        let schema = transaction.dialect().own_schema().filter(|_| loaded.label == BUSTARD);
        if let Some(schema) = schema.filter(|_| history.width.is_none()) {
            let create = format!("CREATE SCHEMA IF NOT EXISTS {schema}");
            transaction.execute(Statement::generated(create, None))?;
        }
        if history.width.is_none() {
            transaction.makes_history(&loaded.label);
        }
        let allow = self.migrator.allow;
        let table = transaction.history_table(&loaded.label).to_owned();
        let missing = allow.missing || allow.out_of_order;
        let same = |i: usize| facts.state((app, i)) == State::Applied;
        refinery::verify(transaction, &table, &loaded.migrations, history, same, allow.divergent, missing)
    }

    pub(super) fn step(
        &mut self,
        transaction: &mut dyn Transaction,
        facts: &Facts<'_>,
        node: Node,
        direction: Direction,
    ) -> Result<()> {
        let started = Instant::now();
        let app = &facts.apps[node.0].label;
        let loaded = facts.migration(node);
        let name = loaded.id.to_string();
        log::info!("{} {app}:{name}", if direction == Direction::Up { "applying" } else { "undoing" });
        self.migrator.tell(Event::Started {
            app: app.clone(),
            migration: name.clone(),
            direction,
            index: self.done.len() + self.open.len() + 1,
        });
        transaction.enter(app, &name);
        let undo = match direction {
            Direction::Up => None,
            Direction::Down => Some(undo(facts, node, transaction.dialect())?),
        };
        let operations = undo.as_deref().unwrap_or(&loaded.migration.operations);
        for operation in operations {
            let scope = Scope { tables: self.tracks_tables(facts), lenient: self.migrator.fake };
            self.operate(transaction, app, &name, operation, scope)
                .map_err(|error| error.in_migration(app, &name))?;
        }
        transaction.restore_settings()?;
        if failpoint::fault("history-second-transaction") {
            let form = if transaction.dialect().has_schemas() { Form::Generated } else { Form::Unsplit };
            transaction.execute(Statement { sql: "COMMIT; BEGIN".into(), place: None, form })?;
        }
        let table = transaction.history_table(app).to_owned();
        match direction {
            Direction::Up => {
                refinery::record(transaction, &table, loaded, facts.histories[node.0].width())?;
                self.remember(transaction, facts, node)?;
                self.install(facts, node.0);
            }
            Direction::Down => {
                let equals = transaction.dialect().equals();
                let sql = format!("DELETE FROM {table} WHERE version {equals} {}", loaded.id.version);
                transaction.execute(Statement::generated(sql, None))?;
                self.forget(transaction, facts, node)?;
            }
        }
        if app == BUSTARD
            && let Some(roles) = &self.migrator.grant
        {
            let more = loaded.id.version >= TRACKS_TABLES || self.tracks_tables(facts);
            transaction.registry().set_grants(transaction, roles, more)?;
        }
        let (registered, unregistered) = caches::names(operations);
        self.open.push(Done {
            app: app.clone(),
            migration: loaded.id.clone(),
            direction,
            how: if self.migrator.fake { How::Faked } else { How::Run },
            registered,
            unregistered,
            elapsed: started.elapsed(),
        });
        Ok(())
    }

    fn operate(
        &self,
        transaction: &mut dyn Transaction,
        app: &str,
        migration: &str,
        operation: &Operation,
        scope: Scope,
    ) -> Result<()> {
        match operation {
            Operation::RegisterCache(register) => {
                registry::in_transaction::register(transaction, register, app, scope)?;
            }
            Operation::UnregisterCache(unregister) => {
                registry::in_transaction::unregister(transaction, unregister, scope)?;
            }
            // Bustard's own tables are needed even where nothing else is run.
            _ if self.migrator.fake && app != BUSTARD => return Ok(()),
            Operation::Sql(sql) => {
                for statement in sql.statements() {
                    transaction.execute(statement.clone())?;
                }
            }
            Operation::Schema(schema) => {
                let sql = schema.sql(transaction.dialect()).ok_or_else(|| {
                    Error::new(ErrorKind::Source, "sea-query cannot write a schema statement for this engine")
                })?;
                // There is no line that it comes from, so its own is shown.
                let place =
                    Place::at(format!("{app} {migration} (built in code)"), 1, 1).with_line(sql.as_str());
                transaction.execute(Statement { sql, place: Some(place), form: Form::Statement })?;
            }
            Operation::Function(function) => transaction.call(function)?,
        }
        Ok(())
    }

    /// Puts the triggers back that are missing where nothing else is to be done.
    fn retrack(&mut self, transaction: &mut dyn Transaction) -> Result<bool> {
        let rows = transaction.rows(registry::untracked_query(transaction.dialect()))?;
        let mut untracked = registry::untracked(rows);
        untracked.retain(UntrackedTable::is_repairable);
        if untracked.is_empty() {
            return Ok(false);
        }
        registry::in_transaction::install_triggers(transaction)?;
        registry::in_transaction::invalidate_all(transaction)?;
        self.retracked = untracked;
        Ok(true)
    }

    /// The end of every transaction that applies or undoes anything.
    pub(super) fn invalidate(
        &self,
        transaction: &mut dyn Transaction,
        facts: &Facts<'_>,
        direction: Direction,
    ) -> Result<()> {
        if self.tracks_tables(facts) && !failpoint::fault("no-reinstallation") {
            registry::in_transaction::install_triggers(transaction)?;
        }
        if direction == Direction::Down && failpoint::fault("no-invalidation-on-revert") {
            return Ok(());
        }
        registry::in_transaction::invalidate_all(transaction)
    }

    /// Whether the registry knows of tables, in this transaction.
    pub(super) fn tracks_tables(&self, facts: &Facts<'_>) -> bool {
        facts.tracks_tables() || self.has_made(TRACKS_TABLES)
    }

    /// Whether the open transaction has applied this one of Bustard's own migrations.
    pub(super) fn has_made(&self, version: i64) -> bool {
        self.open.iter().any(|done| done.app == BUSTARD && done.migration.version == version)
    }

    /// Notes that an app is installed, with the first of its migrations.
    fn install(&mut self, facts: &Facts<'_>, app: usize) {
        let label = &facts.apps[app].label;
        let first = facts.histories[app].applied.is_empty() && label != BUSTARD;
        if first && !self.open_apps.iter().any(|change| change.app == *label) {
            self.open_apps.push(AppChange { app: label.clone(), state: AppState::Enabled });
        }
    }
}

/// How apps stand under the lock. Read with the histories, unless the tables for it
/// were made since somebody looked.
fn installed(loaded: &Loaded, transaction: &mut dyn Transaction, opened: &Opened) -> Result<Installed> {
    let unknown = Installed::default();
    let rows = match &opened.rows {
        Some(rows) => rows.clone(),
        None if loaded.facts(&opened.histories, &unknown).keeps_records() => {
            transaction.rows(app_rows::apps_query(transaction.dialect()))?
        }
        None => return Ok(unknown),
    };
    app_rows::installed(rows, |app| transaction.history_table(app))
}
