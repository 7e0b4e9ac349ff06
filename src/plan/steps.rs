//! The plan that a run executes, as plain data.
//!
//! In: the steps that the planner chose. Out: batches of steps, and the basis of the plan.

use super::Basis;
use crate::engine::inspector::Table;
use crate::graph::Node;
use crate::history::InstalledApp;

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
    /// Checks deferred constraints, so that the next step can drop tables.
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
