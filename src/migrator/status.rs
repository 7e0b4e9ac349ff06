//! Computes the state of the database: the state of each migration, from the files and the
//! history, and the state of the registry.
//!
//! In: the facts and a session. Out: a `Status`.

use std::collections::BTreeSet;

use crate::diagnostic::Diagnostic;
use crate::engine::Session;
use crate::error::Result;
use crate::history::AppState;
use crate::model::{MigrationId, Prefix};
use crate::plan::{Facts, State};
use crate::registry::{self, MissingTrigger};
use crate::report::{MigrationStatus, Status, UnregisteredCache};
use crate::run::caches;

pub(super) fn status(
    facts: &Facts<'_>,
    session: &mut dyn Session,
    missing_triggers: Vec<MissingTrigger>,
    warnings: Vec<Diagnostic>,
) -> Result<Status> {
    let mut migrations = Vec::new();
    for (i, app) in facts.apps.iter().enumerate() {
        for (j, loaded) in app.migrations.iter().enumerate() {
            migrations.push(MigrationStatus {
                app: app.label.clone(),
                migration: loaded.id.clone(),
                state: facts.state((i, j)),
                applied_on: facts.applied_on((i, j)).map(str::to_owned),
                file: loaded.file.clone(),
            });
        }
    }
    for (i, row) in facts.missing() {
        migrations.push(MigrationStatus {
            app: facts.apps[i].label.clone(),
            migration: MigrationId { version: row.version, prefix: Prefix::V, name: row.name.clone() },
            state: State::Missing,
            applied_on: Some(row.applied_on.clone()),
            file: None,
        });
    }
    let key = |one: &MigrationStatus| (one.app.clone(), one.migration.is_repeatable(), one.migration.version);
    migrations.sort_by_cached_key(key);
    let unregistered = unregistered(facts, session)?;
    let disabled = facts.installed.apps.values().filter(|app| app.state == AppState::Disabled);
    let disabled = disabled.map(|app| app.label.clone()).collect();
    let kept = facts.apps.iter().enumerate().filter(|(i, _)| facts.is_kept(*i));
    let kept = kept.map(|(_, app)| app.label.clone()).collect();
    Ok(Status { migrations, unregistered, disabled, kept, missing_triggers, warnings })
}

/// Returns the caches that the applied migrations register, but that the registry lacks.
fn unregistered(facts: &Facts<'_>, session: &mut dyn Session) -> Result<Vec<UnregisteredCache>> {
    let mut expected = caches::left_registered(facts);
    expected.retain(|_, node| !facts.is_kept(node.0));
    let mut registered = BTreeSet::new();
    if !expected.is_empty() && facts.has_registry() {
        let names: Vec<&str> = expected.keys().copied().collect();
        let rows = session.rows(&registry::owners_query(session.dialect(), &names))?;
        registered.extend(rows.into_iter().filter_map(|row| row.into_iter().next().flatten()));
    }
    expected.retain(|name, _| !registered.contains(*name));
    Ok(expected
        .into_iter()
        .map(|(name, node)| UnregisteredCache {
            name: name.to_owned(),
            app: facts.apps[node.0].label.clone(),
            migration: facts.migration(node).id.clone(),
        })
        .collect())
}
