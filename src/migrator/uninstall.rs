//! Uninstalling apps: the plan and its execution, in one transaction.
//!
//! In: the label of an app, and a connection. Out: an `UninstallPlan`, or the report.
//!
//! The histories and the records in the database determine which migrations are reverted,
//! see [`removal`](crate::run::removal). The sources of an app are used only if they are
//! valid.

use std::collections::BTreeMap;

use super::Migrator;
use crate::diagnostic::{Action, Advice, Code, Diagnostic};
use crate::engine::inspector::{Ask, Reference, Table};
use crate::engine::{Connection, Row, Session};
use crate::error::{Error, ErrorKind, Result};
use crate::history::{AppState, Installed, InstalledApp, Record, app_rows, repeatable_rows};
use crate::model::{BUSTARD, History, HistoryTable, LoadedApp};
use crate::plan::{Basis, Question, RunPlan, Step, foreign_tables, has_functions, no_records, suggest};
use crate::registry;
use crate::report::{Direction, DroppedTable, ForeignKey, PlannedStep, Report, Uninstall, UninstallPlan};
use crate::run::removal::{Known, Removal};
use crate::run::{OnChange, Options, Run, caches, changed, describe};
use crate::source;
use crate::sql::{Dialect, Effects};

/// Everything that is read and planned before a change.
struct Prepared {
    known: Known,
    histories: Vec<History>,
    /// The app records as the transaction will read them.
    installed: Installed,
    removal: Removal,
    /// The tables that are dropped.
    tables: Vec<Table>,
    /// The queries, with their answers, on which the plan depends.
    questions: Vec<Question>,
    plan: UninstallPlan,
}

impl Migrator {
    /// Plans what [`uninstall`](Migrator::uninstall) would do. Changes nothing. If the
    /// uninstall would be refused, the plan lists the reasons as obstacles.
    ///
    /// ```
    /// use bustard::{App, Migration, Migrator, Uninstall};
    ///
    /// let mut connection = rusqlite::Connection::open_in_memory()?;
    /// let create = Migration::new()
    ///     .sql("CREATE TABLE ban (id INTEGER PRIMARY KEY)")
    ///     .register_cache("bans")
    ///     .down(Migration::new().sql("DROP TABLE ban"));
    /// Migrator::new().app(App::new("bans").migration("V1__bans", create)).run(&mut connection)?;
    ///
    /// // The plugin's code was removed, but the database has recorded how to revert the plugin.
    /// let migrator = Migrator::new();
    /// let plan = migrator.plan_uninstall(&mut connection, &Uninstall::new("bans"))?;
    /// assert_eq!((plan.tables[0].table.as_str(), plan.tables[0].rows), ("ban", 0));
    /// assert_eq!(plan.caches, ["bans"]);
    ///
    /// assert!(plan.obstacles.is_empty());
    /// assert!(migrator.uninstall(&mut connection, &plan)?.changed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Usage`](crate::ErrorKind::Usage) if the app does not exist or
    /// is not installed.
    pub fn plan_uninstall(
        &self,
        connection: &mut impl Connection,
        what: &Uninstall,
    ) -> Result<UninstallPlan> {
        let code = self.code(connection.dialect(), what)?;
        let mut session = self.look(connection)?;
        let mut found = self.find_again(&code, &mut *session, what)?;
        let counts = session.inspector().count(&mut |sql| session.rows(sql), &found.tables)?;
        for (table, rows) in found.plan.tables.iter_mut().zip(counts) {
            table.rows = rows;
        }
        Ok(found.plan)
    }

    /// Executes a plan as it was shown: reverts the migrations of its apps, unregisters
    /// their caches, and deletes their records, in one transaction. The last statement of
    /// the transaction invalidates every cache. If the plan keeps the data, the uninstall
    /// only unregisters the caches. If it [forgets](Uninstall::forget) the apps, the
    /// uninstall reverts nothing.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Failed`](crate::ErrorKind::Failed) if the plan has obstacles,
    /// or the database has changed since the plan was made. Otherwise, returns the errors
    /// of [`run`](Migrator::run). After an error, nothing has changed.
    pub fn uninstall(&self, connection: &mut impl Connection, plan: &UninstallPlan) -> Result<Report> {
        let code = self.code(connection.dialect(), &plan.what)?;
        let functions = code.iter().any(has_functions);
        let mut session = self.session(connection, functions, self.lock_wait)?;
        // Another session may change what the plan does not show: then the same plan is
        // made from the current state, a few times.
        const TRIES: usize = 5;
        let mut tries = 0;
        loop {
            tries += 1;
            let found = self.prepare_as_shown(&code, &mut *session, plan)?;
            found.plan.check()?;
            let sources = &found.removal.sources;
            let facts = sources.facts(&found.histories, &found.installed);
            let options = Options { advice: Some(after_failure()), ..self.options() };
            let mut run = Run::new(options, sources, &facts);
            match run.execute(&mut *session, found.run_plan(), OnChange::Refuse) {
                Ok(()) => {}
                Err(_) if run.is_outdated() && tries < TRIES => continue,
                Err(error) => return Err(error),
            }
            let mut report = run.end(&mut *session);
            report.warnings.clone_from(&found.plan.warnings);
            return Ok(report);
        }
    }

    /// Makes the plan again, and returns an error if it differs from the plan that was
    /// shown.
    fn prepare_as_shown(
        &self,
        code: &[LoadedApp],
        session: &mut dyn Session,
        shown: &UninstallPlan,
    ) -> Result<Prepared> {
        let mut doubted = false;
        loop {
            let found = match self.find_again(code, session, &shown.what) {
                Err(error) if error.kind() == ErrorKind::Usage => {
                    return Err(changed(&format!("{} is not installed any more", shown.what.app)));
                }
                found => found?,
            };
            match difference(shown, &found.plan) {
                None => return Ok(found),
                // Several statements have read the state, and another run may have
                // committed between two of them. Reading again shows the new state of the
                // app.
                Some(_) if !doubted => doubted = true,
                Some(what) => return Err(changed(&what)),
            }
        }
    }

    /// Loads the apps whose sources are valid, Bustard's own first.
    fn code(&self, dialect: &'static dyn Dialect, what: &Uninstall) -> Result<Vec<LoadedApp>> {
        if what.forget && what.keep_data {
            return Err(Error::usage("an app is forgotten, or its data is kept, not both"));
        }
        if what.app == BUSTARD {
            return Err(Error::usage("Bustard's own app cannot be uninstalled: the others need it"));
        }
        let mut apps = vec![source::own()];
        apps.extend_from_slice(self.configured());
        let source::Loaded { apps, errors, broken, .. } = source::load(&apps, dialect);
        for (_, error) in errors {
            log::info!("not needed for uninstalling: {error}");
        }
        let labels: Vec<String> = apps.iter().map(|app| app.label.clone()).collect();
        let alone = |label: &String| labels.iter().filter(|other| *other == label).count() == 1;
        let sound = |(a, app): &(usize, LoadedApp)| !broken.contains(a) && alone(&app.label);
        Ok(apps.into_iter().enumerate().filter(sound).map(|(_, app)| app).collect())
    }

    /// Does the same as [`find`](Self::find). If a history is gone, reads once more before
    /// it says so: another run may have uninstalled the app between two statements.
    fn find_again(
        &self,
        code: &[LoadedApp],
        session: &mut dyn Session,
        what: &Uninstall,
    ) -> Result<Prepared> {
        match self.find(code, session, what) {
            Err(error) if matches!(error.kind(), ErrorKind::Database | ErrorKind::History) => {
                self.find(code, session, what)
            }
            found => found,
        }
    }

    /// Reads everything that the plan requires, and makes the plan.
    fn find(&self, code: &[LoadedApp], session: &mut dyn Session, what: &Uninstall) -> Result<Prepared> {
        let dialect = session.dialect();
        let here = code.iter().filter(|app| [BUSTARD, &what.app].contains(&app.label.as_str()));
        let here: Vec<HistoryTable> = here.map(|app| HistoryTable::of(app, dialect)).collect();
        let own = session.read(&here)?;
        if own.first().is_none_or(|own| own.applied.is_empty()) {
            return Err(no_records());
        }
        let unrecorded = own.get(1).filter(|own| !own.applied.is_empty()).map(|own| InstalledApp {
            label: what.app.clone(),
            history: own.place.clone(),
            state: AppState::Enabled,
            pinned: false,
        });
        let mut questions = Vec::new();
        let known = known(dialect, &mut asking(session, &mut questions), unrecorded.as_ref())?;
        self.check_installed(&known, what, own.get(1))?;
        let elsewhere = elsewhere(session, &known, what)?;
        let mut tables: Vec<HistoryTable> = here.into_iter().take(1).collect();
        for app in known.concerned(&what.app).iter().filter_map(|label| known.installed.apps.get(label)) {
            tables.push(app.table().ok_or_else(|| {
                let message = format!(
                    "{}, where the history of {} should be, is not the name of a table",
                    app.history, app.label
                );
                Error::new(ErrorKind::Failed, message)
                    .help("another program has written to Bustard's own tables")
            })?);
        }
        let histories = session.read(&tables)?;
        for (table, history) in tables.iter().zip(&histories).skip(1) {
            let leaves = table.app == what.app || what.cascade;
            if !(what.forget && leaves) {
                known.check_place(&table.app, history)?;
            }
        }
        let rows = session.rows(&app_rows::query(dialect))?;
        let installed = app_rows::installed(rows)?;
        let removal = Removal::new(dialect, what, &known, code, tables, &histories);
        removal.sources.facts(&histories, &known.installed).check_version()?;

        let effects = removal.effects(dialect);
        let inspector = session.inspector();
        let mut ask = |sql: &str| session.rows(sql);
        let tables = inspector.tables(&mut ask, effects.tables(), effects.schemas())?;
        let references = inspector.references(&mut asking(session, &mut questions), &tables)?;
        let mut ask = |sql: &str| session.rows(sql);
        let others = inspector.views_and_triggers(&mut ask, &tables)?;
        let mut plan = self.describe(dialect, what, &known, &removal, &histories);
        for [kind, name, sql] in others.iter().filter(|[_, name, _]| !effects.mentions(None, name)) {
            let mut used = Effects::new(dialect.syntax());
            used.read(sql);
            let used = tables.iter().find(|table| used.mentions(None, &table.name));
            plan.warnings.extend(used.map(|table| left_behind(kind, name, &table.shown(dialect))));
        }
        plan.drops = effects.others().to_vec();
        plan.warnings.extend(elsewhere);
        plan.tables.extend(tables.iter().map(|table| DroppedTable { table: table.shown(dialect), rows: 0 }));
        for reference in &references {
            let key = foreign_key(reference, dialect);
            if !effects.mentions(Some(&reference.from.schema), &reference.from.name) {
                plan.obstacles.push(reference.in_the_way(dialect));
            }
            plan.foreign_keys.push(key);
        }
        plan.basis = Basis::of(&removal.sources.facts(&histories, &installed)).with(questions.clone());
        Ok(Prepared { known, histories, installed, removal, tables, questions, plan })
    }

    /// Checks that the app is installed. `here` is the history that the configuration and the
    /// search path lead to, if the app is configured.
    fn check_installed(&self, known: &Known, what: &Uninstall, here: Option<&History>) -> Result<()> {
        let app = what.app.as_str();
        if let Some(installed) = known.installed.apps.get(app) {
            return match here.filter(|_| !installed.pinned && !what.forget) {
                Some(here) => known.check_place(app, here),
                None => Ok(()),
            };
        }
        if self.configured().iter().any(|configured| configured.label == app) {
            return Err(Error::usage(format!(
                "the app {app} is not installed: there is nothing to uninstall"
            )));
        }
        let labels: Vec<&str> = known.installed.apps.keys().map(String::as_str).collect();
        Err(suggest(Error::usage(format!("no app {app} is installed")), app, &labels))
    }

    fn describe(
        &self,
        dialect: &'static dyn Dialect,
        what: &Uninstall,
        known: &Known,
        removal: &Removal,
        histories: &[History],
    ) -> UninstallPlan {
        let facts = removal.sources.facts(histories, &known.installed);
        let steps = removal.order.iter().map(|node| describe::step(&facts, dialect, *node, Direction::Down));
        let mut steps: Vec<PlannedStep> = steps.collect();
        for (step, node) in steps.iter_mut().zip(&removal.order) {
            step.irreversible = removal.stuck.get(node).map(|why| why.message().to_owned());
        }
        let configured =
            removal.leaving.iter().filter(|label| self.configured().iter().any(|app| app.label == **label));
        let warnings = configured.map(|label| {
            let then = if what.keep_data { "restores it" } else { "installs it again" };
            let message = format!("the app {label} is still configured: the next run {then}");
            Diagnostic::new(Code::AppStillConfigured, message)
                .help("first remove it from the configuration, or from the host")
        });
        UninstallPlan {
            what: what.clone(),
            apps: removal.leaving.clone(),
            steps,
            caches: removal.caches(&known.owners),
            dependants: removal.dependants.clone(),
            obstacles: removal.obstacles.clone(),
            warnings: warnings.chain(removal.staying(known).map(after)).chain(facts.copied()).collect(),
            ..UninstallPlan::default()
        }
    }
}

/// Returns the advice after a failed step.
fn after_failure() -> Advice {
    Advice::text(
        "nothing is uninstalled; correct what the reverting statements meet in the database and uninstall again, or ",
    )
    .then(Action::KeepData)
    .and(" leaves the app's tables where they are")
}

/// Queries the session, and keeps the query with its answer.
fn asking<'a>(
    session: &'a mut dyn Session,
    questions: &'a mut Vec<Question>,
) -> impl FnMut(&str) -> Result<Vec<Row>> + 'a {
    |sql| {
        let answer = session.rows(sql)?;
        questions.push(Question { sql: sql.to_owned(), answer: answer.clone() });
        Ok(answer)
    }
}

impl Prepared {
    /// Builds the plan that is executed, in one transaction.
    fn run_plan(&self) -> RunPlan {
        let Removal { leaving, order, .. } = &self.removal;
        let keep_data = self.plan.what.keep_data;
        let apps = leaving.iter().filter_map(|label| self.known.installed.apps.get(label));
        let mut steps: Vec<Step> =
            order.iter().flat_map(|node| [Step::Revert(*node), Step::CheckDeferred]).collect();
        steps.push(Step::CheckReferences(self.tables.clone()));
        steps.push(Step::UnregisterCaches { apps: leaving.clone(), keep_sources: keep_data });
        if keep_data {
            let to_keep = apps.filter(|app| app.state != AppState::DataKept);
            steps.extend(
                to_keep.map(|app| Step::SetApp(InstalledApp { state: AppState::DataKept, ..app.clone() })),
            );
        } else {
            steps.extend(apps.map(|app| Step::ForgetApp(app.label.clone())));
        }
        let facts = self.removal.sources.facts(&self.histories, &self.installed);
        let mut plan = facts.plan_steps(steps);
        plan.basis = plan.basis.with(self.questions.clone());
        plan
    }
}

/// Reads the records beside the histories. An app that refinery has migrated may have no
/// record yet.
fn known(dialect: &'static dyn Dialect, ask: Ask<'_>, unrecorded: Option<&InstalledApp>) -> Result<Known> {
    let mut installed = app_rows::installed(ask(&app_rows::query(dialect))?)?;
    if installed.guest {
        return Err(foreign_tables("apps cannot be uninstalled"));
    }
    if let Some(app) = unrecorded.filter(|app| installed.state(&app.label).is_none()) {
        installed.insert(app.clone());
    }
    let labels: Vec<&str> = installed.apps.keys().map(String::as_str).collect();
    let records = app_rows::records(ask(&app_rows::records_query(dialect, &labels))?)?;
    let repeatables = repeatable_rows::reverts(ask(&repeatable_rows::reverts_query(dialect, &labels))?)?;
    let owners = owners(dialect, ask)?;
    let former = caches::owners_of(ask(registry::former_query(dialect))?);
    Ok(Known { installed, records, repeatables, owners, former })
}

/// Reads all registered caches with their owners.
fn owners(dialect: &'static dyn Dialect, ask: Ask<'_>) -> Result<BTreeMap<String, Option<String>>> {
    Ok(caches::owners_of(ask(registry::owned_query(dialect))?))
}

fn foreign_key(reference: &Reference, dialect: &'static dyn Dialect) -> ForeignKey {
    ForeignKey {
        table: reference.from.shown(dialect),
        columns: reference.columns.clone(),
        references: reference.to.shown(dialect),
    }
}

/// Warns about an app that is not configured here. Another host may have installed it with
/// another search path, and then names without a schema mean other tables.
fn elsewhere(session: &mut dyn Session, known: &Known, what: &Uninstall) -> Result<Option<Diagnostic>> {
    let unchecked = session.history_table(&what.app).is_empty() && !what.keep_data && !what.forget;
    let installed = known.installed.apps.get(&what.app);
    let Some((app, table)) = installed
        .and_then(|app| Some((app, app.table()?)))
        .filter(|_| unchecked && session.dialect().has_schemas())
    else {
        return Ok(None);
    };
    session.read(&[HistoryTable { schema: None, ..table }])?;
    Ok((session.history_table(&app.label) != app.history).then(|| off_search_path(&app.label, &app.history)))
}

pub(crate) fn off_search_path(label: &str, history: &str) -> Diagnostic {
    let message = format!("the history of {label} is {history}, and the search path does not lead there");
    Diagnostic::new(Code::HistoryOffSearchPath, message).help(
        "check that these are the intended tables: the statements that revert the app find them by the search path",
    )
}

/// Warns about a migration that stays applied while a migration that is required by it is
/// reverted.
fn after((asking, staying): (&Record, (&str, i64))) -> Diagnostic {
    let ((app, version), (other, later)) = ((&asking.app, asking.version), staying);
    let message = format!("{other}:V{later} stays: only {app}:V{version} declares that it comes before it");
    Diagnostic::new(Code::LaterMigrationStays, message)
        .help(format!("{app}:V{version} is reverted in the database as {other}:V{later} left it"))
}

fn left_behind(kind: &str, name: &str, table: &str) -> Diagnostic {
    let message = format!("the {kind} {name} seems to use {table}, which would be dropped, and stays");
    Diagnostic::new(Code::DependentObject, message)
        .help(format!("if it does, drop the {kind} as well, in a migration of the app that it belongs to"))
}

/// Describes how a plan differs from the plan that was shown.
fn difference(shown: &UninstallPlan, now: &UninstallPlan) -> Option<String> {
    let name = |step: &PlannedStep| format!("{}:{}", step.app, step.migration);
    let names = |plan: &UninstallPlan| plan.steps.iter().map(name).collect::<Vec<_>>();
    let (before, after) = (names(shown), names(now));
    if let Some(new) = after.iter().find(|name| !before.contains(name)) {
        return Some(format!("{new} has been applied since"));
    }
    if let Some(gone) = before.iter().find(|name| !after.contains(name)) {
        return Some(format!("{gone} is not applied any more"));
    }
    if let Some(new) = now.dependants.iter().find(|one| !shown.dependants.contains(one)) {
        return Some(format!("{}:{} needs {} now", new.app, new.migration, new.needs));
    }
    if let Some(new) = now.foreign_keys.iter().find(|one| !shown.foreign_keys.contains(one)) {
        return Some(format!("{} has a foreign key onto {} now", new.table, new.references));
    }
    let (before_loss, after_loss) = (loss(shown), loss(now));
    if let Some(new) = after_loss.iter().find(|what| !before_loss.contains(what)) {
        return Some(format!("the {new} would now be removed too"));
    }
    let same = shown.apps == now.apps
        && before == after
        && before_loss == after_loss
        && shown.dependants == now.dependants
        && shown.foreign_keys == now.foreign_keys;
    if !same {
        return Some("other apps or tables are affected".to_owned());
    }
    shown.basis.difference_from(&now.basis)
}

/// Lists what a plan drops.
fn loss(plan: &UninstallPlan) -> Vec<String> {
    let tables = plan.tables.iter().map(|dropped| format!("table {}", dropped.table));
    let caches = plan.caches.iter().map(|cache| format!("cache {cache}"));
    tables.chain(plan.drops.iter().cloned()).chain(caches).collect()
}
