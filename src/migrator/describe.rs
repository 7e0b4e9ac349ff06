//! A plan as data for people: what each step does, in words and in SQL.

use super::{Direction, Plan, Step, caches};
use crate::engine::Engine;
use crate::error::Problem;
use crate::graph::Node;
use crate::operation::Operation;
use crate::plan::Facts;

pub(super) fn plan(
    facts: &Facts<'_>,
    engine: Engine,
    steps: &[Node],
    direction: Direction,
    warnings: Vec<Problem>,
) -> Plan {
    Plan { steps: steps.iter().map(|&node| step(facts, engine, node, direction)).collect(), warnings }
}

fn step(facts: &Facts<'_>, engine: Engine, node: Node, direction: Direction) -> Step {
    let loaded = facts.migration(node);
    let undo = loaded.migration.undo();
    let irreversible = undo.as_ref().err().map(|operation| operation.describe(engine));
    let operations = match direction {
        Direction::Up => loaded.migration.operations.clone(),
        Direction::Down => undo.unwrap_or_default(),
    };
    let (registers, unregisters) = caches::names(&operations);
    Step {
        app: facts.apps[node.0].label.clone(),
        migration: loaded.id.clone(),
        direction,
        operations: operations.iter().map(|operation| operation.describe(engine)).collect(),
        sql: operations.iter().flat_map(|operation| sql(operation, engine)).collect(),
        registers,
        unregisters,
        irreversible,
        file: loaded.file.clone(),
    }
}

fn sql(operation: &Operation, engine: Engine) -> Vec<String> {
    match operation {
        Operation::Sql(sql) => {
            sql.statements().iter().map(|statement| format!("{};", statement.sql)).collect()
        }
        Operation::Schema(schema) => schema.sql(engine).map(|sql| format!("{sql};")).into_iter().collect(),
        Operation::RegisterCache(_) | Operation::UnregisterCache(_) => {
            vec![format!("-- bustard: {}", operation.describe(engine))]
        }
        Operation::Function(_) => vec![format!("-- {}", operation.describe(engine))],
    }
}
