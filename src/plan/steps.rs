//! The plan that a run executes, as plain data.
//!
//! In: the steps that the planner chose. Out: batches of steps, and the basis of the plan.

use super::{Basis, Facts};
use crate::engine::inspector::Table;
use crate::graph::Node;
use crate::history::InstalledApp;
use crate::model::BUSTARD;

/// The batches that a run executes.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunPlan {
    pub basis: Basis,
    pub batches: Vec<Batch>,
}

/// Steps that are executed together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Batch {
    pub steps: Vec<Step>,
    pub mode: BatchMode,
}

/// How the steps of a batch are executed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum BatchMode {
    /// In one transaction.
    #[default]
    Transaction,
}

/// One action of a run. Its nodes refer to the sources that the plan was made for.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Applies a migration and records it.
    Apply(Node),
    /// Reverts a migration and deletes its records.
    Revert(Node),
    /// Accepts the current file of an applied migration.
    Accept(Node),
    /// Writes the records of an app that was migrated without them, and of its applied
    /// migrations.
    AdoptApp(usize),
    /// Registers the caches of an app with kept data again.
    ReturnApp(usize),
    /// Writes the state of an app.
    SetApp(InstalledApp),
    /// Creates those of Bustard's own tables and rows that are missing, with this migration.
    Reinstall(Node),
    /// Registers caches again that these migrations have registered.
    RestoreCaches(Vec<(String, Node)>),
    /// Writes where the history of an app is. `new` forgets what was recorded of it.
    SetHistory { app: InstalledApp, new: bool },
    /// Gives the database a new identity.
    NewIdentity,
    /// Checks deferred constraints, so that the next step can drop its tables.
    CheckDeferred,
    /// Fails if a remaining foreign key refers to one of these tables.
    CheckReferences(Vec<Table>),
    /// Unregisters the caches of these apps.
    UnregisterCaches { apps: Vec<String>, keep_sources: bool },
    /// Deletes the history and the records of an app.
    ForgetApp(String),
    /// Restores missing triggers of caches.
    RestoreTriggers,
    /// Gives Bustard's own functions to the owner of its tables.
    SettleOwner,
    /// Grants the use of caches to the configured roles, and revokes it from other roles.
    Grant,
}

impl Step {
    /// Returns the migration that the step applies, reverts or accepts.
    pub(crate) fn migration(&self) -> Option<Node> {
        match self {
            Step::Apply(node) | Step::Revert(node) | Step::Accept(node) => Some(*node),
            Step::AdoptApp(_)
            | Step::ReturnApp(_)
            | Step::SetApp(_)
            | Step::Reinstall(_)
            | Step::RestoreCaches(_)
            | Step::SetHistory { .. }
            | Step::NewIdentity
            | Step::CheckDeferred
            | Step::CheckReferences(_)
            | Step::UnregisterCaches { .. }
            | Step::ForgetApp(_)
            | Step::RestoreTriggers
            | Step::SettleOwner
            | Step::Grant => None,
        }
    }
}

impl RunPlan {
    /// Returns the caches that the plan registers again, each with its migration.
    pub(crate) fn restored_caches(&self) -> impl Iterator<Item = &(String, Node)> {
        self.batches.iter().flat_map(|batch| &batch.steps).flat_map(|step| match step {
            Step::RestoreCaches(caches) => caches.as_slice(),
            _ => &[],
        })
    }

    /// Registers these caches again before the first migration of an app, after Bustard's own
    /// tables.
    pub(crate) fn restore_caches(&mut self, facts: &Facts<'_>, lost: Vec<(String, Node)>) {
        if lost.is_empty() {
            return;
        }
        let applies = |step: &Step| match step {
            Step::Apply((app, _)) => facts.apps[*app].label != BUSTARD,
            _ => false,
        };
        let restore = Step::RestoreCaches(lost);
        match self.batches.first_mut() {
            Some(first) => {
                let at = first.steps.iter().position(applies).unwrap_or(first.steps.len());
                first.steps.insert(at, restore);
            }
            None => self.push(vec![restore]),
        }
    }

    /// Returns whether the plan gives the database a new identity.
    pub(crate) fn has_new_identity(&self) -> bool {
        self.batches.iter().flat_map(|batch| &batch.steps).any(|step| matches!(step, Step::NewIdentity))
    }

    /// Returns the migrations that the plan applies, reverts or accepts.
    pub(crate) fn migrations(&self) -> impl Iterator<Item = Node> {
        self.batches.iter().flat_map(|batch| &batch.steps).filter_map(Step::migration)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Adds a batch, unless it has no steps.
    pub(crate) fn push(&mut self, steps: Vec<Step>) {
        if !steps.is_empty() {
            self.batches.push(Batch { steps, mode: BatchMode::Transaction });
        }
    }
}
