//! The plan: the difference between the loaded apps and the applied migrations. All
//! functions are pure.
//!
//! In: the loaded apps, their graph, the histories and the app records; no connection.
//! Out: the steps of a run in order, or the diagnostics that refuse it.

mod basis;
mod build;
mod judging;
mod migration_state;
pub(crate) mod places;
mod plan_checks;
mod repair;
mod repeatable_state;
mod sources;
mod state_change;
mod steps;

use std::collections::BTreeSet;

pub(crate) use self::basis::{Basis, Change, Question};
pub(crate) use self::build::Migrate;
pub use self::build::TransactionMode;
pub(crate) use self::migration_state::Memory;
pub use self::migration_state::State;
pub(crate) use self::plan_checks::Allow;
pub use self::repair::Repair;
pub(crate) use self::sources::{Sources, has_functions, reverting_operations};
pub(crate) use self::state_change::{foreign_tables, suggest};
pub(crate) use self::steps::{Batch, BatchMode, RunPlan, Step};
use crate::diagnostic::{Action, Advice};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Graph, Node};
use crate::history::{AppState, Installed};
use crate::model::{BUSTARD, History, LoadedApp, LoadedMigration};

/// Everything that a plan is made from. The histories are in the order of the apps.
#[derive(Clone, Copy)]
pub(crate) struct Facts<'f> {
    pub apps: &'f [LoadedApp],
    pub graph: &'f Graph,
    pub histories: &'f [History],
    pub installed: &'f Installed,
    pub memory: &'f Memory,
}

/// The migrations to revert.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Revert {
    /// All migrations of the app with a higher version than `version`. Version 0 reverts
    /// the whole app.
    To {
        /// The app's label.
        app: String,
        /// The migration version that stays.
        version: i64,
    },
    /// This number of migrations, in reverse order of application.
    Steps(usize),
}

/// Returns the error for a database without records.
pub(crate) fn no_records() -> Error {
    let advice = Advice::text("run ").then(Action::Migrate).and(" first: it makes them from what is applied");
    Error::new(ErrorKind::Failed, "the database has no records of what is installed yet").help(advice)
}

impl Facts<'_> {
    pub(crate) fn migration(&self, node: Node) -> &LoadedMigration {
        &self.apps[node.0].migrations[node.1]
    }

    /// Returns whether Bustard's own tables exist.
    pub(crate) fn has_registry(&self) -> bool {
        self.own().is_some_and(|(_, history)| !history.applied.is_empty())
    }

    /// Refuses what needs records if Bustard's own tables do not exist, as in a database that
    /// only refinery has migrated.
    pub(crate) fn needs_records(&self) -> Result<()> {
        match self.own() {
            Some((app, history)) if !app.versioned().is_empty() && history.applied.is_empty() => {
                Err(no_records())
            }
            _ => Ok(()),
        }
    }

    /// Returns Bustard's own app and its history.
    fn own(&self) -> Option<(&LoadedApp, &History)> {
        self.apps.iter().zip(self.histories).find(|(app, _)| app.label == BUSTARD)
    }

    fn is_in_state(&self, app: usize, state: AppState) -> bool {
        !self.installed.all_enabled() && self.installed.state(&self.apps[app].label) == Some(state)
    }

    pub(crate) fn is_disabled(&self, app: usize) -> bool {
        self.is_in_state(app, AppState::Disabled)
    }

    pub(crate) fn is_kept(&self, app: usize) -> bool {
        self.is_in_state(app, AppState::DataKept)
    }

    /// Returns the name of the migration in messages.
    pub(crate) fn name(&self, node: Node) -> String {
        format!("{}:{}", self.apps[node.0].label, self.migration(node).id)
    }

    /// Finds the node of a migration that the caller has named.
    pub(crate) fn find(&self, app: &str, version: i64) -> Result<Node> {
        let index = self.app(app)?;
        self.apps[index].find(version).map(|i| (index, i)).ok_or_else(|| {
            let error = Error::usage(format!("the app {app} has no migration {version}"));
            let migrations = self.apps[index].versioned();
            match (migrations.first(), migrations.last()) {
                (Some(first), Some(last)) => error.help(format!("it has {} to {}", first.id, last.id)),
                _ => error.help("it has none"),
            }
        })
    }

    pub(crate) fn app(&self, label: &str) -> Result<usize> {
        self.apps.iter().position(|app| app.label == label).ok_or_else(|| {
            let labels: Vec<&str> = self.apps.iter().map(|app| app.label.as_str()).collect();
            Error::usage(format!("there is no app {label}")).help(format!("there are: {}", labels.join(", ")))
        })
    }

    /// Returns the pending migrations in order: all of them, or `target` and its
    /// dependencies.
    pub(crate) fn forward(&self, target: Option<(&str, i64)>) -> Result<Vec<Node>> {
        let wanted = match target {
            None => None,
            Some((app, version)) => Some(self.graph.with_dependencies(self.find_enabled(app, version)?)),
        };
        let expected = |node: &Node| !self.applied(*node) && !self.is_disabled(node.0);
        let pending = self.graph.order.iter().copied().filter(expected);
        // Bustard's own migrations are applied together, and all other migrations depend on
        // them.
        let own = target.is_some_and(|(app, _)| app == BUSTARD);
        let bustard = |node: &Node| self.apps[node.0].label == BUSTARD;
        let steps: Vec<Node> = pending
            .filter(|node| wanted.as_ref().is_none_or(|w| w.contains(node) || bustard(node)))
            .collect();
        if target.is_some() && !own && steps.iter().all(bustard) {
            return Ok(Vec::new());
        }
        self.check_enabled(&steps)?;
        steps.iter().try_for_each(|node| self.check_width(*node))?;
        self.check_records(&steps)?;
        Ok(steps)
    }

    fn find_enabled(&self, app: &str, version: i64) -> Result<Node> {
        let node = self.find(app, version)?;
        match self.is_disabled(node.0) {
            true => Err(Error::usage(format!("the app {app} is disabled"))
                .help(Advice::text("enable it first: ").then(Action::Enable { app: app.to_owned() }))),
            false => Ok(node),
        }
    }

    /// Returns the apps with kept data that the run restores: the apps with loaded
    /// migrations. With a `target`, these are only its app and the apps of its
    /// dependencies.
    pub(crate) fn returning(&self, target: Option<(&str, i64)>) -> Result<Vec<usize>> {
        let needed = match target {
            None => None,
            Some((app, version)) => Some(self.graph.with_dependencies(self.find(app, version)?)),
        };
        let wanted = |app: &usize| {
            let of_app = |node: &Node| node.0 == *app;
            needed.as_ref().is_none_or(|needed| needed.iter().any(of_app))
                && !self.apps[*app].migrations.is_empty()
        };
        Ok((0..self.apps.len()).filter(|app| self.is_kept(*app)).filter(wanted).collect())
    }

    /// Returns the migrations to revert, in order.
    pub(crate) fn backward(&self, revert: &Revert) -> Result<Vec<Node>> {
        let mut chosen: BTreeSet<Node> = BTreeSet::new();
        match revert {
            Revert::Steps(count) => {
                let applied = self.graph.order.iter().rev().copied().filter(|node| self.applied(*node));
                let own = |node: &Node| self.apps[node.0].label == BUSTARD;
                let expected = |node: &Node| {
                    !self.is_disabled(node.0)
                        && !self.is_kept(node.0)
                        && !self.migration(*node).is_repeatable()
                };
                chosen.extend(applied.filter(|node| !own(node) && expected(node)).take(*count));
            }
            Revert::To { app, version } => {
                let index = self.app(app)?;
                if *version != 0 {
                    self.find(app, *version)?;
                }
                if app == BUSTARD {
                    return Err(Error::usage("Bustard's own migrations cannot be reverted"));
                }
                let gone = self.missing().find(|(i, row)| *i == index && row.version > *version);
                if let Some((_, row)) = gone {
                    let name = format!("{app}:V{}__{}", row.version, row.name);
                    return Err(Error::new(
                        ErrorKind::Missing,
                        format!("{name} cannot be reverted: its file is missing"),
                    )
                    .help("restore the file: it contains what reverts the migration"));
                }
                let later = (0..self.apps[index].first_repeatable()).map(|i| (index, i));
                chosen.extend(
                    later.filter(|node| self.migration(*node).id.version > *version && self.applied(*node)),
                );
            }
        }
        // Dependent migrations are reverted too. Indirect dependants are included, because
        // a migration in between may be pending.
        for &node in &self.graph.order {
            if self.graph.dependencies(node).iter().any(|needed| chosen.contains(needed)) {
                chosen.insert(node);
            }
        }
        // Repeatable migrations have nothing to revert: their objects stay.
        let applied = |node: &Node| {
            chosen.contains(node) && self.applied(*node) && !self.migration(*node).is_repeatable()
        };
        let steps: Vec<Node> = self.graph.order.iter().rev().copied().filter(applied).collect();
        match steps.iter().find(|node| self.is_kept(node.0)) {
            None => Ok(steps),
            Some(kept) => {
                let label = &self.apps[kept.0].label;
                Err(Error::usage(format!(
                    "{} cannot be reverted: {label} was uninstalled, and its data kept",
                    self.name(*kept)
                ))
                .help(
                    Advice::from(Action::Migrate)
                        .and(" restores it, and ")
                        .then(Action::Uninstall { app: label.clone() })
                        .and(" removes its data"),
                ))
            }
        }
    }
}
