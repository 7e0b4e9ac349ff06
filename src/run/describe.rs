//! The description of a plan, in words and in SQL.
//!
//! In: a plan and its facts. Out: a `Plan` as plain data.

use std::collections::BTreeSet;

use super::caches;
use crate::diagnostic::Diagnostic;
use crate::error::Result;
use crate::graph::Node;
use crate::history::{AppState, text_checksum};
use crate::model::{BUSTARD, Form, Operation, Statement};
use crate::plan::{Facts, RunPlan, Step};
use crate::registry::MissingTrigger;
use crate::registry::in_transaction::Manner;
use crate::report::{AppChange, Direction, HistoryChange, Plan, PlannedStep, UnregisteredCache, Verb};
use crate::sql::Dialect;

/// Describes a plan, and attaches its basis.
pub(crate) fn plan(
    facts: &Facts<'_>,
    dialect: &'static dyn Dialect,
    planned: &RunPlan,
    verb: Verb,
    missing_triggers: Vec<MissingTrigger>,
    warnings: Vec<Diagnostic>,
) -> Result<Plan> {
    let steps = || planned.batches.iter().flat_map(|batch| &batch.steps);
    Ok(Plan {
        steps: self::steps(facts, dialect, planned)?,
        apps: changes(facts, steps()),
        restored_caches: planned.restored_caches().map(|lost| restored(facts, lost)).collect(),
        histories: steps().filter_map(|step| history(facts, step)).collect(),
        new_identity: planned.has_new_identity(),
        missing_triggers,
        warnings,
        planned: Some((verb, planned.basis.clone())),
    })
}

/// Describes the steps of a plan for users.
pub(crate) fn steps(
    facts: &Facts<'_>,
    dialect: &'static dyn Dialect,
    planned: &RunPlan,
) -> Result<Vec<PlannedStep>> {
    let steps = planned.batches.iter().flat_map(|batch| &batch.steps);
    steps.filter_map(|step| describe(facts, dialect, step).transpose()).collect()
}

/// Names the first step that differs from the shown plan; `None` if no step differs.
pub(crate) fn difference(shown: &[PlannedStep], now: &[PlannedStep]) -> Option<String> {
    let name = |step: &PlannedStep| format!("{}:{}", step.app, step.migration);
    let changed = shown.iter().zip(now).find(|(one, other)| {
        (name(one), &one.operations, &one.sql) != (name(other), &other.operations, &other.sql)
    });
    match changed {
        Some((step, _)) => Some(format!("the file of {} has changed", name(step))),
        None if shown.len() != now.len() => Some("the plan has other steps now".to_owned()),
        None => None,
    }
}

/// Returns the apps that a plan installs or restores.
fn changes<'s>(facts: &Facts<'_>, steps: impl Iterator<Item = &'s Step>) -> Vec<AppChange> {
    let first = |app: usize| {
        let label = &facts.apps[app].label;
        label != BUSTARD
            && facts.histories[app].applied.is_empty()
            && facts.installed.repeatables.installed_of(label) == 0
    };
    let changed = steps.filter_map(|step| match step {
        Step::Apply(node) if first(node.0) => Some(node.0),
        Step::ReturnApp(app) => Some(*app),
        _ => None,
    });
    let apps: BTreeSet<&str> = changed.map(|app| facts.apps[app].label.as_str()).collect();
    apps.into_iter().map(|app| AppChange { app: app.to_owned(), state: AppState::Enabled }).collect()
}

fn restored(facts: &Facts<'_>, (name, node): &(String, Node)) -> UnregisteredCache {
    UnregisteredCache {
        name: name.clone(),
        app: facts.apps[node.0].label.clone(),
        migration: facts.migration(*node).id.clone(),
    }
}

fn history(facts: &Facts<'_>, step: &Step) -> Option<HistoryChange> {
    match step {
        Step::SetHistory { app, new } => Some(super::repair::change(facts, app, *new)),
        _ => None,
    }
}

fn describe(facts: &Facts<'_>, dialect: &'static dyn Dialect, step: &Step) -> Result<Option<PlannedStep>> {
    let Some(node) = step.migration() else { return Ok(None) };
    let direction = if matches!(step, Step::Revert(_)) { Direction::Down } else { Direction::Up };
    let described = self::step(facts, dialect, node, direction)?;
    if !matches!(step, Step::Accept(_)) {
        return Ok(Some(described));
    }
    // The checksum distinguishes the shown plan from a plan with another text of the file.
    let checksum = text_checksum(facts.migration(node));
    let operations = vec![format!("accept the file as it is now (checksum {checksum})")];
    let (sql, registers, unregisters) = (Vec::new(), Vec::new(), Vec::new());
    Ok(Some(PlannedStep { operations, sql, registers, unregisters, irreversible: None, ..described }))
}

pub(crate) fn step(
    facts: &Facts<'_>,
    dialect: &'static dyn Dialect,
    node: Node,
    direction: Direction,
) -> Result<PlannedStep> {
    let loaded = facts.migration(node);
    let reverting = loaded.migration().revert_operations();
    // Bustard's own tables are never reverted, so they are not reported as irreversible.
    let own = facts.apps[node.0].label == BUSTARD;
    // A repeatable migration has nothing to revert.
    let reverted = !own && !loaded.is_repeatable();
    let manner = Manner { lenient: false, repeatable: loaded.is_repeatable() && direction == Direction::Up };
    let irreversible = reverting.as_ref().err().filter(|_| reverted);
    let irreversible = irreversible.map(|operation| operation.describe(dialect));
    let operations = match direction {
        Direction::Up => loaded.migration().operations.clone(),
        Direction::Down => reverting.unwrap_or_default(),
    };
    let (registers, unregisters) = caches::names(&operations);
    let mut sql = Vec::new();
    for operation in &operations {
        self::sql(operation, &facts.apps[node.0].label, dialect, manner, &mut sql)?;
    }
    Ok(PlannedStep {
        app: facts.apps[node.0].label.clone(),
        migration: loaded.id.clone(),
        direction,
        operations: operations.iter().map(|operation| operation.describe(dialect)).collect(),
        sql,
        registers,
        unregisters,
        irreversible,
        file: loaded.file.clone(),
    })
}

/// Adds the SQL of an operation.
fn sql(
    operation: &Operation,
    app: &str,
    dialect: &'static dyn Dialect,
    manner: Manner,
    all: &mut Vec<String>,
) -> Result<()> {
    let ended = |statement: &Statement| match statement.form {
        Form::CopyIn { .. } | Form::CopyStored { .. } => statement.sql.trim_end_matches('\n').to_owned(),
        Form::Statement | Form::Generated => format!("{};", statement.sql),
    };
    match operation {
        Operation::Sql(sql) => sql.each_in_memory(dialect, &mut |statement| {
            all.push(ended(&statement));
            Ok(())
        })?,
        Operation::Schema(schema) => all.extend(schema.sql(dialect).map(|sql| format!("{sql};"))),
        Operation::RegisterCache(register) => {
            let owner = register.owner(app);
            all.push(dialect.registry().shown_register(&register.name, &register.tables, owner, manner));
        }
        Operation::ChangeCache(change) => {
            let owner = change.owner(app);
            all.push(dialect.registry().shown_change(&change.name, &change.tables, owner, manner));
        }
        Operation::UnregisterCache(unregister) => {
            all.push(dialect.registry().shown_unregister(&unregister.name, unregister.reverts, manner));
        }
        Operation::Function(_) => all.push(format!("-- {}", operation.describe(dialect))),
    }
    Ok(())
}
