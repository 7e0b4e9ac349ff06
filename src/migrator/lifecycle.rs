//! How apps stand: disabling and enabling them, and the return of those whose data
//! was kept.

use super::apply::Run;
use super::{AppChange, Direction, Loaded, Migrator, Report, caches};
use crate::diagnostic::nearest;
use crate::engine::{Session, Transaction};
use crate::error::{Error, ErrorKind, Result};
use crate::history::{AppState, InstalledApp, app_rows};
use crate::model::{BUSTARD, RegisterCache};
use crate::plan::Facts;
use crate::registry;
use crate::registry::in_transaction::Scope;

impl Migrator {
    /// Sets whether the migrations of an app are expected.
    pub(super) fn switch(
        &self,
        loaded: &Loaded,
        session: &mut dyn Session,
        label: &str,
        to: AppState,
    ) -> Result<Report> {
        let mut run = Run::new(self, loaded);
        let seen = loaded.see(session)?;
        let facts = loaded.facts(&seen.histories, &seen.installed);
        if !is_to_be_switched(&facts, label, to)? {
            return Ok(run.report(None));
        }
        run.begin(&facts);
        run.transaction(session, |run, transaction, facts| run.switch(transaction, facts, label, to))?;
        Ok(run.end(session, None))
    }
}

/// Whether the app stands otherwise, and may be made to stand so.
fn is_to_be_switched(facts: &Facts<'_>, label: &str, to: AppState) -> Result<bool> {
    let verb = if to == AppState::Disabled { "disabled" } else { "enabled" };
    facts.check_version()?;
    if label == BUSTARD {
        return Err(Error::usage(format!("Bustard's own tables cannot be {verb}: every app needs them")));
    }
    if !facts.keeps_records() {
        return Err(Error::new(ErrorKind::Failed, "the database does not know yet which apps are installed")
            .help("run `bustard migrate` first"));
    }
    let loaded = facts.apps.iter().map(|app| app.label.as_str());
    let known: Vec<&str> = loaded.chain(facts.installed.apps.keys().map(String::as_str)).collect();
    if !known.contains(&label) {
        let mut names: Vec<&str> = known.into_iter().filter(|name| *name != BUSTARD).collect();
        names.sort_unstable();
        names.dedup();
        let error = Error::usage(format!("there is no app {label}, neither here nor in the database"));
        return Err(suggest(error, label, &names));
    }
    if facts.installed.foreign.contains(label) {
        let message =
            format!("another app with the label {label} is installed in this database, with another history");
        return Err(Error::new(ErrorKind::Failed, message).help("give one of them another label"));
    }
    if facts.installed.guest {
        return Err(stranger(&format!("{label} cannot be {verb}")));
    }
    match facts.installed.state(label) {
        Some(AppState::DataKept) => {
            let message = format!("{label} cannot be {verb}: it was uninstalled, and its data kept");
            Err(Error::usage(message).help("`bustard migrate` with its files brings it back"))
        }
        // No row is as good as one that says enabled.
        state => Ok(state.unwrap_or(AppState::Enabled) != to),
    }
}

/// Says which labels there are in place of one that is none.
pub(super) fn suggest(error: Error, label: &str, known: &[&str]) -> Error {
    match (nearest(label, known.iter().copied()), known) {
        (Some(near), _) => error.help(format!("did you mean {near}?")),
        (None, []) => error.help("there is none"),
        (None, _) => error.help(format!("there are: {}", known.join(", "))),
    }
}

/// About what only the owner of Bustard's own tables may do.
pub(super) fn stranger(what: &str) -> Error {
    Error::new(ErrorKind::Failed, format!("{what} by this role: Bustard's own tables are another's"))
        .help("do it as the role that owns them")
}

impl Run<'_> {
    fn switch(
        &mut self,
        transaction: &mut dyn Transaction,
        facts: &Facts<'_>,
        label: &str,
        to: AppState,
    ) -> Result<bool> {
        if !is_to_be_switched(facts, label, to)? {
            return Ok(false);
        }
        match (facts.apps.iter().position(|app| app.label == label), facts.installed.apps.get(label)) {
            (Some(app), _) => self.put_app(transaction, facts, app, to)?,
            (None, Some(app)) => {
                let app = InstalledApp { state: to, ..app.clone() };
                transaction.execute(app_rows::put_app(transaction.dialect(), &app))?;
            }
            (None, None) => return Ok(false),
        }
        // What it had before there were records is what can be uninstalled later.
        self.adopt(transaction, facts)?;
        self.invalidate(transaction, facts, Direction::Up)?;
        self.open_apps.push(AppChange { app: label.to_owned(), state: to });
        Ok(true)
    }

    /// Brings apps back whose data was kept: the caches that their applied migrations
    /// leave registered are registered again.
    pub(super) fn bring_back(
        &mut self,
        transaction: &mut dyn Transaction,
        facts: &Facts<'_>,
        apps: &[usize],
    ) -> Result<()> {
        if apps.is_empty() {
            return Ok(());
        }
        if facts.installed.guest {
            return Err(stranger("an app whose data was kept cannot be brought back"));
        }
        let left = caches::left_registered(facts);
        let left: Vec<_> = left.into_iter().filter(|(_, node)| apps.contains(&node.0)).collect();
        let names: Vec<&str> = left.iter().map(|(name, _)| *name).collect();
        let rows = transaction.rows(&registry::owners_query(transaction.dialect(), &names))?;
        let owners = caches::owners_of(rows);
        for (name, node) in left {
            let (app, migration) = (&facts.apps[node.0].label, facts.migration(node));
            match owners.get(name) {
                Some(Some(owner)) if owner == app => continue,
                Some(owner) => {
                    return Err(registry::taken(name, owner.as_deref()).in_migration(app, &migration.id));
                }
                None => {}
            }
            transaction.enter(app, &migration.id.to_string());
            let again =
                RegisterCache { name: name.to_owned(), tables: Vec::new(), keeps_owner: true, place: None };
            transaction.execute(app_rows::give_cache(transaction.dialect(), name, app))?;
            let scope = Scope { tables: self.tracks_tables(facts), lenient: true };
            registry::in_transaction::register(transaction, &again, app, scope)?;
        }
        for &app in apps {
            self.put_app(transaction, facts, app, AppState::Enabled)?;
            self.open_apps.push(AppChange { app: facts.apps[app].label.clone(), state: AppState::Enabled });
        }
        Ok(())
    }
}
