//! How all apps stand, those too whose files are gone.

use std::collections::BTreeMap;

use super::caches::owners_of;
use super::{AppStatus, Loaded};
use crate::engine::Session;
use crate::error::{ErrorKind, Result};
use crate::history::{AppState, InstalledApp};
use crate::model::{BUSTARD, History, HistoryTable};
use crate::registry;

pub(super) fn list(loaded: &Loaded, session: &mut dyn Session) -> Result<Vec<AppStatus>> {
    let seen = loaded.see(session)?;
    let facts = loaded.facts(&seen.histories, &seen.installed);
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
    let mut of = |label: &str, history: &History, pending: Option<usize>| AppStatus {
        label: label.to_owned(),
        state: match seen.installed.state(label) {
            Some(state @ (AppState::Disabled | AppState::DataKept)) => state,
            _ if history.applied.is_empty() => AppState::NotInstalled,
            _ => AppState::Enabled,
        },
        loaded: pending.is_some(),
        version: history.applied.last().map(|row| row.version),
        applied: history.applied.len(),
        pending: pending.unwrap_or_default(),
        caches: caches.remove(label).unwrap_or_default(),
    };
    let mut apps = Vec::new();
    for (i, app) in loaded.apps.iter().enumerate().filter(|(_, app)| app.label != BUSTARD) {
        let pending = (0..app.migrations.len()).filter(|j| !facts.applied((i, *j))).count();
        apps.push(of(&app.label, &seen.histories[i], Some(pending)));
    }
    let gone = |app: &&InstalledApp| loaded.apps.iter().all(|loaded| loaded.label != app.label);
    let tables: Vec<HistoryTable> =
        seen.installed.apps.values().filter(gone).filter_map(InstalledApp::table).collect();
    // A guest may not be allowed to read them all.
    let at_once = if seen.installed.guest { 1 } else { tables.len().max(1) };
    for tables in tables.chunks(at_once) {
        match session.read(tables) {
            Ok(histories) => apps
                .extend(tables.iter().zip(&histories).map(|(table, history)| of(&table.app, history, None))),
            Err(error) if seen.installed.guest && error.kind() == ErrorKind::Database => {
                log::info!("an app is not shown: {error}");
            }
            Err(error) => return Err(error),
        }
    }
    apps.sort_by(|a, b| a.label.cmp(&b.label));
    Ok(apps)
}
