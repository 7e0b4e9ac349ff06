//! Carrying out the uninstall that was shown, or nothing.

use super::super::apply::Run;
use super::super::{AppChange, Direction, Event, Migrator, Report, Step};
use super::removal::Removal;
use super::{Found, UninstallPlan, foreign_key, in_the_way, known, owners};
use crate::engine::{Connection, Transaction};
use crate::error::{Error, ErrorKind, Result};
use crate::history::{AppState, InstalledApp, app_rows};
use crate::model::{Statement, UnregisterCache};
use crate::plan::Facts;
use crate::registry;
use crate::registry::in_transaction::Scope;

impl Migrator {
    /// Does what a plan shows: undoes the migrations of its apps, unregisters their
    /// caches, and forgets them, in one transaction that ends by invalidating every
    /// cache. With the data kept, only the caches are unregistered.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Failed`](crate::ErrorKind::Failed) if something stands in its way,
    /// or the database is not any more what the plan was made from; otherwise as for
    /// [`run`](Migrator::run). Nothing is changed then.
    pub fn uninstall(&self, connection: &mut impl Connection, plan: &UninstallPlan) -> Result<Report> {
        let code = self.code(connection.dialect(), &plan.what)?;
        let functions = code.iter().any(super::super::has_functions);
        let mut session = connection.session(functions, self.lock_wait)?;
        let mut doubted = false;
        loop {
            let found = match self.find(&code, &mut *session, &plan.what) {
                Err(error) if error.kind() == ErrorKind::Usage => {
                    return Err(changed(&format!("{} is not installed any more", plan.what.app)));
                }
                // A history that was dropped while this read it.
                Err(error) if error.kind() == ErrorKind::Database && !doubted => {
                    doubted = true;
                    continue;
                }
                found => found?,
            };
            if let Some(what) = difference(plan, &found.plan) {
                // It was read in several statements, and another run may have committed
                // between two of them: a second look says what has become of the app.
                if !doubted {
                    doubted = true;
                    continue;
                }
                return Err(changed(&what));
            }
            found.plan.check()?;
            self.tell(Event::Planned { steps: found.removal.order.len() });
            let mut run = Run::new(self, &found.removal.loaded);
            let mut moved = false;
            run.transaction(&mut *session, |run, transaction, facts| {
                moved = found.is_outdated(transaction, facts)?;
                if moved { Ok(false) } else { run.remove(transaction, facts, &found, plan.what.keep_data) }
            })?;
            if moved {
                continue;
            }
            let mut report = run.end(&mut *session, None);
            report.warnings.clone_from(&found.plan.warnings);
            return Ok(report);
        }
    }
}

/// In what a plan differs from the one that was shown.
fn difference(shown: &UninstallPlan, now: &UninstallPlan) -> Option<String> {
    let name = |step: &Step| format!("{}:{}", step.app, step.migration);
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
        return Some(format!("the {new} would go now as well"));
    }
    let same = shown.apps == now.apps
        && before == after
        && before_loss == after_loss
        && shown.dependants == now.dependants
        && shown.foreign_keys == now.foreign_keys;
    (!same).then(|| "other apps or tables are concerned".to_owned())
}

/// What a plan takes away.
fn loss(plan: &UninstallPlan) -> Vec<String> {
    let tables = plan.tables.iter().map(|dropped| format!("table {}", dropped.table));
    let caches = plan.caches.iter().map(|cache| format!("cache {cache}"));
    tables.chain(plan.drops.iter().cloned()).chain(caches).collect()
}

fn changed(what: &str) -> Error {
    let message = format!("the database is not any more as the plan showed it: {what}");
    let help = "look at the plan as it is now, and uninstall again";
    Error::new(ErrorKind::Failed, message).after(Vec::new()).help(help)
}

impl Found {
    /// Whether another run has committed since: asked under the lock.
    fn is_outdated(&self, transaction: &mut dyn Transaction, facts: &Facts<'_>) -> Result<bool> {
        let dialect = transaction.dialect();
        let inspector = transaction.inspector();
        let mut ask = |sql: &str| transaction.rows(sql);
        Ok(facts.histories != self.histories
            || known(dialect, &mut ask, self.unrecorded.as_ref())? != self.known
            || inspector.references(&mut ask, &self.tables)? != self.references)
    }
}

impl Run<'_> {
    fn remove(
        &mut self,
        transaction: &mut dyn Transaction,
        facts: &Facts<'_>,
        found: &Found,
        keep_data: bool,
    ) -> Result<bool> {
        let Removal { leaving, order, .. } = &found.removal;
        let dialect = transaction.dialect();
        for &node in order {
            self.step(transaction, facts, node, Direction::Down).map_err(with_help)?;
            if let Some(check) = dialect.check_deferred() {
                transaction.execute(Statement::generated(check, None))?;
            }
        }
        let inspector = transaction.inspector();
        let mut ask = |sql: &str| transaction.rows(sql);
        if let Some(left) = inspector.dangling(&mut ask, &found.tables)?.first() {
            let problem = in_the_way(&foreign_key(left, dialect));
            return Err(Error::problems(ErrorKind::Failed, vec![problem]));
        }
        // Runs what is still to be run.
        let owners = owners(dialect, &mut |sql| transaction.rows(sql)).map_err(with_help)?;
        let caches = found.removal.caches(&owners);
        let scope = Scope { tables: true, lenient: false };
        for name in &caches {
            let unregister = UnregisterCache { name: name.clone(), undoes: !keep_data, place: None };
            registry::in_transaction::unregister(transaction, &unregister, scope)?;
        }
        let installed = &found.known.installed.apps;
        let apps: Vec<&InstalledApp> = leaving.iter().filter_map(|label| installed.get(label)).collect();
        if keep_data {
            if caches.is_empty() && apps.iter().all(|app| app.state == AppState::DataKept) {
                return Ok(false);
            }
            for app in apps {
                let kept = InstalledApp { state: AppState::DataKept, ..app.clone() };
                transaction.execute(app_rows::put_app(dialect, &kept))?;
            }
        } else {
            for app in apps {
                let history = format!("DROP TABLE IF EXISTS {}", transaction.history_table(&app.label));
                transaction.execute(Statement::generated(history, None))?;
                for statement in app_rows::delete_app(dialect, &app.label) {
                    transaction.execute(statement)?;
                }
                transaction.execute(registry::forget_all(dialect, &app.label))?;
            }
        }
        let state = if keep_data { AppState::DataKept } else { AppState::NotInstalled };
        self.open_apps = leaving.iter().map(|app| AppChange { app: app.clone(), state }).collect();
        self.invalidate(transaction, facts, Direction::Down)?;
        Ok(true)
    }
}

fn with_help(error: Error) -> Error {
    error.or_help(
        "nothing is uninstalled; set right what the undoing meets in the database and uninstall again, or \
         `--keep-data` leaves the app's tables where they are",
    )
}
