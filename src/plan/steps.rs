//! A plan as it is executed: batches of steps, and what they were planned from.

use super::Basis;
use crate::graph::Node;
use crate::history::AppState;

/// What a run executes: pure data.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub basis: Basis,
    pub batches: Vec<Batch>,
}

/// Steps that are executed together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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

/// One thing that a run does. Nodes are of the sources that the plan was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Applies a migration and writes it down.
    Apply(Node),
    /// Reverts a migration and deletes what was written down.
    Revert(Node),
    /// Accepts the file of an applied migration as it is now.
    Accept(Node),
    /// Writes the record of an app that was migrated without one.
    AdoptApp(usize),
    /// Registers the caches again of an app whose data was kept.
    ReturnApp(usize),
    /// Writes how an app stands.
    SetApp { label: String, state: AppState },
    /// Makes sure that nothing is left that the removal of these apps would break.
    CheckRemoval,
    /// Unregisters the caches of these apps.
    UnregisterCaches { keep_sources: bool },
    /// Deletes what the database knows of these apps, or notes that their data is kept.
    RemoveApps { keep_data: bool },
    /// Puts missing triggers of caches back.
    RestoreTriggers,
    /// Lets these roles use caches, and no others.
    Grant,
}

impl Step {
    /// The migration that the step applies, reverts or accepts.
    pub(crate) fn migration(&self) -> Option<Node> {
        match self {
            Step::Apply(node) | Step::Revert(node) | Step::Accept(node) => Some(*node),
            Step::AdoptApp(_)
            | Step::ReturnApp(_)
            | Step::SetApp { .. }
            | Step::CheckRemoval
            | Step::UnregisterCaches { .. }
            | Step::RemoveApps { .. }
            | Step::RestoreTriggers
            | Step::Grant => None,
        }
    }
}

impl Plan {
    /// How many migrations it applies, reverts or accepts.
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
