//! The state of every app, including apps whose files no longer exist.
//!
//! In: the sources and a session. Out: one `AppStatus` for each app.

use std::collections::BTreeMap;

use crate::engine::Session;
use crate::error::{ErrorKind, Result};
use crate::history::{AppState, InstalledApp};
use crate::model::{BUSTARD, History, HistoryTable};
use crate::plan::{Sources, places};
use crate::registry;
use crate::report::AppStatus;
use crate::run::caches::owners_of;
use crate::run::preflight::observe;

pub(super) fn list(sources: &Sources, session: &mut dyn Session) -> Result<Vec<AppStatus>> {
    let seen = observe(sources, session)?;
    let facts = sources.facts(&seen.histories, &seen.installed);
    facts.check_version()?;
    let mut caches: BTreeMap<String, Vec<String>> = BTreeMap::new();
    if facts.has_registry() {
        let rows = session.rows(registry::owned_query(session.dialect()))?;
        for (name, owner) in owners_of(rows) {
            if let Some(app) = owner {
                caches.entry(app).or_default().push(name);
            }
        }
    }
    let repeatables = |label: &str| seen.installed.repeatables.installed_of(label);
    let mut of = |label: &str, history: &History, pending: Option<usize>| AppStatus {
        label: label.to_owned(),
        state: match seen.installed.state(label) {
            Some(state @ (AppState::Disabled | AppState::DataKept)) => state,
            _ if history.applied.is_empty() && repeatables(label) == 0 => AppState::NotInstalled,
            _ => AppState::Enabled,
        },
        loaded: pending.is_some(),
        version: history.applied.last().map(|row| row.version),
        applied: history.applied.len() + repeatables(label),
        pending: pending.unwrap_or_default(),
        caches: caches.remove(label).unwrap_or_default(),
    };
    let mut apps = Vec::new();
    for (i, app) in sources.apps.iter().enumerate().filter(|(_, app)| app.label != BUSTARD) {
        let pending = (0..app.migrations.len()).filter(|j| !facts.applied((i, *j))).count();
        apps.push(of(&app.label, &seen.histories[i], Some(pending)));
    }
    let gone = |app: &&InstalledApp| sources.apps.iter().all(|loaded| loaded.label != app.label);
    let tables: Vec<HistoryTable> =
        seen.installed.apps.values().filter(gone).filter_map(InstalledApp::table).collect();
    // A role that does not own Bustard's tables may lack the right to read some histories,
    // so each history is read on its own.
    let mut lost = Vec::new();
    let at_once = if seen.installed.guest { 1 } else { tables.len().max(1) };
    for tables in tables.chunks(at_once) {
        match session.read(tables) {
            Ok(histories) => {
                for (table, history) in tables.iter().zip(&histories) {
                    lost.extend(seen.installed.lost(&table.app, history));
                    apps.push(of(&table.app, history, None));
                }
            }
            Err(error) if seen.installed.guest && error.kind() == ErrorKind::Database => {
                log::info!("an app is not shown: {error}");
            }
            Err(error) => return Err(error),
        }
    }
    places::refused(lost)?;
    apps.sort_by(|a, b| a.label.cmp(&b.label));
    Ok(apps)
}
