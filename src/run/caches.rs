//! The cache operations of a plan, checked against the registry before a run.
//!
//! In: a plan, facts and a session. Out: diagnostics, with their places, for names that
//! are already registered or unknown.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::{Action, Advice, Diagnostic};
use crate::engine::{Row, Session};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::Node;
use crate::model::{CacheOperation, LoadedApp, LoadedMigration, Operation, RegisterCache};
use crate::plan::{Facts, RunPlan, Step};
use crate::registry;

/// Returns the names that operations register, and the names that operations unregister.
pub(crate) fn names(operations: &[Operation]) -> (Vec<String>, Vec<String>) {
    let (mut registered, mut unregistered) = (Vec::new(), Vec::new());
    for operation in operations {
        match operation.cache() {
            Some(CacheOperation::Register(register)) => registered.push(register.name.clone()),
            Some(CacheOperation::Unregister(unregister)) => unregistered.push(unregister.name.clone()),
            Some(CacheOperation::Change(_)) | None => {}
        }
    }
    (registered, unregistered)
}

/// Checks the cache operations of a plan.
pub(crate) fn check(facts: &Facts<'_>, plan: &RunPlan, session: &mut dyn Session) -> Result<()> {
    let mut returning = Vec::new();
    let mut operations = Vec::new();
    let mut reverts = false;
    for step in plan.batches.iter().flat_map(|batch| &batch.steps) {
        let (node, ordered) = match step {
            Step::Apply(node) => (*node, facts.migration(*node).migration().operations.clone()),
            Step::Revert(node) => {
                reverts = true;
                // Irreversible migrations have been refused before this check.
                (*node, facts.migration(*node).migration().revert_operations().unwrap_or_default())
            }
            Step::ReturnApp(app) => {
                returning.push(*app);
                continue;
            }
            _ => continue,
        };
        operations.extend(
            ordered
                .into_iter()
                .filter(|operation| operation.cache().is_some())
                .map(|operation| (node, operation)),
        );
    }
    let mut all = again(facts, &returning);
    all.append(&mut operations);
    let operations = all;
    if operations.is_empty() {
        return Ok(());
    }
    let mut owners = owners(facts, &operations, session)?;
    let left = left_registered(facts);
    for (name, node) in plan.restored_caches() {
        owners.insert(name.clone(), Some(facts.apps[node.0].label.clone()));
    }
    let mut planned: BTreeMap<&str, Node> = BTreeMap::new();
    let mut errors = Vec::new();
    for (node, operation) in &operations {
        let app = &facts.apps[node.0].label;
        let error = match operation.cache() {
            Some(CacheOperation::Register(register)) => match owners.get(&register.name) {
                Some(Some(owner)) if register.keeps_owner && !reverts && owner == app => None,
                // No applied migration has registered it, so the history has gone back since.
                Some(Some(owner))
                    if owner == app
                        && !reverts
                        && !left.contains_key(register.name.as_str())
                        && !planned.contains_key(register.name.as_str()) =>
                {
                    planned.insert(&register.name, *node);
                    None
                }
                // A repeatable migration of the owner registers the cache again, perhaps on
                // other tables.
                Some(Some(owner)) if owner == app && facts.migration(*node).is_repeatable() => None,
                Some(owner) => {
                    let taken = registry::taken(&register.name, owner.as_deref());
                    Some(match planned.get(register.name.as_str()) {
                        Some(first) => {
                            let message =
                                format!("{}, in {} of this plan", taken.message(), facts.name(*first));
                            taken.with_message(message)
                        }
                        None => taken,
                    })
                }
                None => {
                    owners.insert(register.name.clone(), register.owner(app).map(str::to_owned));
                    planned.insert(&register.name, *node);
                    None
                }
            },
            Some(CacheOperation::Change(change)) => match owners.get(&change.name) {
                Some(Some(owner)) if owner == app => None,
                Some(_) if change.reverts => None,
                Some(owner) => Some(registry::not_owner(&change.name, owner.as_deref())),
                None => {
                    let known = known(facts, &owners, session)?;
                    Some(registry::unknown(&change.name, &known))
                }
            },
            Some(CacheOperation::Unregister(unregister)) => match owners.remove(&unregister.name) {
                Some(_) => None,
                // An earlier run of the repeatable migration may have unregistered the
                // cache.
                None if !reverts && facts.migration(*node).is_repeatable() => None,
                None => {
                    let known = known(facts, &owners, session)?;
                    let unknown = registry::unknown(&unregister.name, &known);
                    // The app's migrations leave this cache registered, so it was
                    // unregistered by hand.
                    Some(match reverts {
                        true if unregister.reverts => {
                            let register = Action::RegisterCache { name: unregister.name.clone() };
                            let advice = Advice::text("it was unregistered since: register it with ");
                            unknown.help(advice.then(register).and(" before the migration is reverted"))
                        }
                        _ => unknown,
                    })
                }
            },
            None => None,
        };
        if let Some(error) = error {
            let message = format!("{}: {}", facts.name(*node), error.message());
            let mut diagnostic = Diagnostic::new(error.code(), message);
            diagnostic.place = operation.place().cloned();
            diagnostic.advice = error.advice().cloned();
            errors.push(diagnostic);
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Error::from_diagnostics(ErrorKind::Cache, errors)) }
}

/// Returns the names of registered caches, for suggestions.
fn known(
    facts: &Facts<'_>,
    owners: &BTreeMap<String, Option<String>>,
    session: &mut dyn Session,
) -> Result<Vec<String>> {
    let mut known: Vec<String> = owners.keys().cloned().collect();
    if facts.has_registry() {
        let rows = session.rows(registry::names_query(session.dialect()))?;
        known.extend(rows.into_iter().filter_map(|mut row| row.pop()?));
    }
    Ok(known)
}

/// Returns the operations that register the caches of apps with kept data again.
fn again(facts: &Facts<'_>, returning: &[usize]) -> Vec<(Node, Operation)> {
    let left = left_registered(facts).into_iter().filter(|(_, node)| returning.contains(&node.0));
    let register = |(name, node): (&str, Node)| {
        let register =
            RegisterCache { name: name.to_owned(), tables: Vec::new(), keeps_owner: true, place: None };
        (node, Operation::RegisterCache(register))
    };
    left.map(register).collect()
}

/// Returns the caches that applied migrations register and that no later migration
/// unregisters, each with its migration.
pub(crate) fn left_registered<'f>(facts: &Facts<'f>) -> BTreeMap<&'f str, Node> {
    let mut left = BTreeMap::new();
    for &node in facts.graph.order.iter().filter(|node| facts.applied(**node)) {
        for operation in facts.apps[node.0].migrations[node.1].cache_operations() {
            match operation {
                CacheOperation::Register(register) => _ = left.insert(register.name.as_str(), node),
                CacheOperation::Unregister(unregister) => _ = left.remove(unregister.name.as_str()),
                CacheOperation::Change(_) => {}
            }
        }
    }
    left
}

/// Returns the caches that migrations of these apps register, each once.
pub(crate) fn registered_names(apps: &[LoadedApp]) -> Vec<&str> {
    let operations = apps.iter().flat_map(|app| &app.migrations).flat_map(LoadedMigration::cache_operations);
    let names: BTreeSet<&str> = operations
        .filter_map(|operation| match operation {
            CacheOperation::Register(register) => Some(register.name.as_str()),
            CacheOperation::Change(_) | CacheOperation::Unregister(_) => None,
        })
        .collect();
    names.into_iter().collect()
}

/// Returns the registration of a cache by applied migrations, with the tables of its last
/// change.
pub(crate) fn last_registration(facts: &Facts<'_>, name: &str) -> Option<RegisterCache> {
    let applied = facts.graph.order.iter().rev().filter(|node| facts.applied(**node));
    let operations = applied.flat_map(|node| facts.migration(*node).migration().operations.iter().rev());
    operations.filter_map(Operation::cache).find_map(|operation| match operation {
        CacheOperation::Register(register) if register.name == name => Some(register.clone()),
        CacheOperation::Change(change) if change.name == name => Some(change.registration()),
        _ => None,
    })
}

/// Returns the caches that applied migrations leave registered, and that are not registered
/// or have lost their owner or perhaps their tables.
pub(crate) fn lost(facts: &Facts<'_>, owners: &BTreeMap<String, Option<String>>) -> Vec<(String, Node)> {
    let mut left = left_registered(facts);
    let has_tables = |name: &str| last_registration(facts, name).is_some_and(|last| !last.tables.is_empty());
    left.retain(|name, node| match owners.get(*name) {
        _ if facts.is_kept(node.0) => false,
        // The table that lists them may be new.
        Some(Some(owner)) => {
            facts.installed.incomplete && *owner == facts.apps[node.0].label && has_tables(name)
        }
        Some(None) | None => true,
    });
    left.into_iter().map(|(name, node)| (name.to_owned(), node)).collect()
}

/// Reads which of the caches are registered, with their owners.
fn owners(
    facts: &Facts<'_>,
    operations: &[(Node, Operation)],
    session: &mut dyn Session,
) -> Result<BTreeMap<String, Option<String>>> {
    if !facts.has_registry() {
        return Ok(BTreeMap::new());
    }
    let names: Vec<&str> = (operations.iter())
        .filter_map(|(_, operation)| operation.cache().map(CacheOperation::name))
        .collect();
    let rows = session.rows(&registry::owners_query(session.dialect(), &names))?;
    Ok(owners_of(rows))
}

/// Parses names with their owners.
pub(crate) fn owners_of(rows: Vec<Row>) -> BTreeMap<String, Option<String>> {
    let owner = |row: Row| {
        let mut columns = row.into_iter();
        Some((columns.next().flatten()?, columns.next().flatten()))
    };
    rows.into_iter().filter_map(owner).collect()
}

/// Returns the caches that belong to one of the apps.
pub(crate) fn owned_by(owners: BTreeMap<String, Option<String>>, apps: &[String]) -> Vec<String> {
    let owned = |owner: &Option<String>| owner.as_ref().is_some_and(|owner| apps.contains(owner));
    owners.into_iter().filter(|(_, owner)| owned(owner)).map(|(name, _)| name).collect()
}
