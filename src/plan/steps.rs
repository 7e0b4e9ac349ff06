//! A plan as it is executed: batches of steps, and what they were planned from.

use super::Basis;
use crate::engine::inspector::Table;
use crate::graph::Node;
use crate::history::InstalledApp;

/// What a run executes: pure data.
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

/// One thing that a run does. Nodes are of the sources that the plan was made for.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Applies a migration and writes it down.
    Apply(Node),
    /// Reverts a migration and deletes what was written down.
    Revert(Node),
    /// Accepts the file of an applied migration as it is now.
    Accept(Node),
    /// Writes the record of an app that was migrated without one, and those of its
    /// applied migrations.
    AdoptApp(usize),
    /// Registers the caches again of an app whose data was kept.
    ReturnApp(usize),
    /// Writes the state of an app.
    SetApp(InstalledApp),
    /// Checks deferred constraints, so that the next step can drop its tables.
    CheckDeferred,
    /// Fails if a foreign key is left that refers to one of these tables.
    CheckReferences(Vec<Table>),
    /// Unregisters the caches of these apps.
    UnregisterCaches { apps: Vec<String>, keep_sources: bool },
    /// Deletes what the database knows of an app.
    ForgetApp(String),
    /// Puts missing triggers of caches back.
    RestoreTriggers,
    /// Gives Bustard's own functions to the owner of its tables.
    SettleOwner,
    /// Lets the configured roles use caches, and no others.
    Grant,
}

impl Step {
    /// The migration that the step applies, reverts or accepts.
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
    /// The migrations that it applies, reverts or accepts.
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
