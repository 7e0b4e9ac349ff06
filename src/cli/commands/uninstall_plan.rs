//! The JSON document of an uninstall plan.

use bustard::UninstallPlan;
use bustard::report::{Dependant, DroppedTable, ForeignKey};
use serde::Serialize;

use crate::cli::document::{self, Diagnostic, PlannedStep};
use crate::cli::failure::Failure;

/// The plan of an uninstall.
#[derive(Serialize)]
pub struct Plan<'a> {
    apps: &'a [String],
    keep_data: bool,
    forget: bool,
    cascade: bool,
    steps: Vec<PlannedStep<'a>>,
    tables: Vec<Table<'a>>,
    drops: &'a [String],
    foreign_keys: Vec<Key<'a>>,
    caches: &'a [String],
    dependants: Vec<Dependency<'a>>,
    obstacles: Vec<Diagnostic<'a>>,
    warnings: Vec<Diagnostic<'a>>,
}

#[derive(Serialize)]
struct Table<'a> {
    table: &'a str,
    rows: u64,
}

#[derive(Serialize)]
struct Key<'a> {
    table: &'a str,
    columns: &'a [String],
    references: &'a str,
}

#[derive(Serialize)]
struct Dependency<'a> {
    app: &'a str,
    migration: String,
    needs: &'a str,
}

impl<'a> From<&'a UninstallPlan> for Plan<'a> {
    fn from(plan: &'a UninstallPlan) -> Self {
        let table = |one: &'a DroppedTable| Table { table: &one.table, rows: one.rows };
        let key = |one: &'a ForeignKey| Key {
            table: &one.table,
            columns: &one.columns,
            references: &one.references,
        };
        let dependency = |one: &'a Dependant| Dependency {
            app: &one.app,
            migration: one.migration.to_string(),
            needs: &one.needs,
        };
        Plan {
            apps: &plan.apps,
            keep_data: plan.what.keep_data,
            forget: plan.what.forget,
            cascade: plan.what.cascade,
            steps: plan.steps.iter().map(|step| PlannedStep::new(step, true)).collect(),
            tables: plan.tables.iter().map(table).collect(),
            drops: &plan.drops,
            foreign_keys: plan.foreign_keys.iter().map(key).collect(),
            caches: &plan.caches,
            dependants: plan.dependants.iter().map(dependency).collect(),
            obstacles: plan.obstacles.iter().map(Diagnostic::from).collect(),
            warnings: plan.warnings.iter().map(Diagnostic::from).collect(),
        }
    }
}

/// A plan that was refused, with the error.
#[derive(Serialize)]
pub struct Refused<'a> {
    database: document::Database,
    plan: Plan<'a>,
    #[serde(flatten)]
    failed: document::Failed<'a>,
}

impl<'a> Refused<'a> {
    pub fn new(database: document::Database, plan: &'a UninstallPlan, failure: &'a Failure) -> Self {
        Refused { database, plan: Plan::from(plan), failed: document::Failed::new(failure) }
    }
}
