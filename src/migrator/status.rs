//! Computes the state of the database: the state of each migration, from the files and the
//! history, and the state of the registry.
//!
//! In: the facts and the observed registry. Out: a `Status`.

use crate::diagnostic::Diagnostic;
use crate::history::AppState;
use crate::model::{MigrationId, Prefix};
use crate::plan::{Facts, State};
use crate::registry::TrackedCache;
use crate::report::{MigrationStatus, Status, UnregisteredCache};
use crate::run::caches;
use crate::run::preflight::Observation;

pub(super) fn status(
    facts: &Facts<'_>,
    observed: &Observation,
    caches: Vec<TrackedCache>,
    warnings: Vec<Diagnostic>,
) -> Status {
    let mut migrations = Vec::new();
    for (i, app) in facts.apps.iter().enumerate() {
        for (j, loaded) in app.migrations.iter().enumerate() {
            migrations.push(MigrationStatus {
                app: app.label.clone(),
                migration: loaded.id.clone(),
                state: facts.state((i, j)),
                applied_on: facts.applied_on((i, j)).map(str::to_owned),
                file: loaded.file.clone(),
                diagnostic: facts.refusal((i, j)),
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
            diagnostic: None,
        });
    }
    let key = |one: &MigrationStatus| (one.app.clone(), one.migration.is_repeatable(), one.migration.version);
    migrations.sort_by_cached_key(key);
    let unregistered = caches::lost(facts, &observed.owners);
    let unregistered = unregistered.into_iter().map(|(name, node)| UnregisteredCache {
        name,
        app: facts.apps[node.0].label.clone(),
        migration: facts.migration(node).id.clone(),
    });
    let disabled = facts.installed.apps.values().filter(|app| app.state == AppState::Disabled);
    let disabled = disabled.map(|app| app.label.clone()).collect();
    let kept = facts.apps.iter().enumerate().filter(|(i, _)| facts.is_kept(*i));
    let kept = kept.map(|(_, app)| app.label.clone()).collect();
    Status {
        migrations,
        unregistered: unregistered.collect(),
        incomplete: facts.installed.incomplete,
        copied: facts.installed.copied,
        disabled,
        kept,
        missing_triggers: observed.missing_triggers.clone(),
        caches,
        warnings,
    }
}
