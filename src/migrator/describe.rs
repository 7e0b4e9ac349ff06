//! A plan as data for people: what each step does, in words and in SQL.

use std::collections::BTreeSet;

use super::{AppChange, Direction, Plan, Step, caches};
use crate::diagnostic::Diagnostic;
use crate::graph::Node;
use crate::history::AppState;
use crate::model::{BUSTARD, Form, Operation, Statement};
use crate::plan::Facts;
use crate::registry::UntrackedTable;
use crate::sql::Dialect;

pub(super) fn plan(
    facts: &Facts<'_>,
    dialect: &'static dyn Dialect,
    steps: &[Node],
    direction: Direction,
    untracked: Vec<UntrackedTable>,
    warnings: Vec<Diagnostic>,
) -> Plan {
    let steps = steps.iter().map(|&node| step(facts, dialect, node, direction)).collect();
    Plan { steps, apps: Vec::new(), untracked, warnings }
}

/// The apps that a run installs or brings back.
pub(super) fn changes(facts: &Facts<'_>, steps: &[Node], returning: &[usize]) -> Vec<AppChange> {
    let first = |app: &usize| facts.apps[*app].label != BUSTARD && facts.histories[*app].applied.is_empty();
    let installed = steps.iter().map(|node| node.0).filter(first);
    let apps: BTreeSet<&str> =
        returning.iter().copied().chain(installed).map(|app| facts.apps[app].label.as_str()).collect();
    apps.into_iter().map(|app| AppChange { app: app.to_owned(), state: AppState::Enabled }).collect()
}

fn step(facts: &Facts<'_>, dialect: &'static dyn Dialect, node: Node, direction: Direction) -> Step {
    let loaded = facts.migration(node);
    let undo = loaded.migration.undo();
    // Nobody would undo Bustard's own tables: they come and go with Bustard.
    let own = facts.apps[node.0].label == BUSTARD;
    let irreversible = undo.as_ref().err().filter(|_| !own).map(|operation| operation.describe(dialect));
    let operations = match direction {
        Direction::Up => loaded.migration.operations.clone(),
        Direction::Down => undo.unwrap_or_default(),
    };
    let (registers, unregisters) = caches::names(&operations);
    Step {
        app: facts.apps[node.0].label.clone(),
        migration: loaded.id.clone(),
        direction,
        operations: operations.iter().map(|operation| operation.describe(dialect)).collect(),
        sql: operations
            .iter()
            .flat_map(|operation| sql(operation, &facts.apps[node.0].label, dialect))
            .collect(),
        registers,
        unregisters,
        irreversible,
        file: loaded.file.clone(),
    }
}

fn sql(operation: &Operation, app: &str, dialect: &'static dyn Dialect) -> Vec<String> {
    let ended = |statement: &Statement| match statement.form {
        // It ends as the file does, which may be in a comment.
        Form::Unsplit => statement.sql.clone(),
        Form::Statement | Form::Generated => format!("{};", statement.sql),
    };
    match operation {
        Operation::Sql(sql) => sql.statements().iter().map(ended).collect(),
        Operation::Schema(schema) => schema.sql(dialect).map(|sql| format!("{sql};")).into_iter().collect(),
        Operation::RegisterCache(register) => {
            vec![dialect.registry().shown_register(&register.name, &register.tables, register.owner(app))]
        }
        Operation::UnregisterCache(unregister) => {
            vec![dialect.registry().shown_unregister(&unregister.name, unregister.undoes)]
        }
        Operation::Function(_) => vec![format!("-- {}", operation.describe(dialect))],
    }
}
