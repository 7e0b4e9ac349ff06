//! The plans of the verbs.
//!
//! In: facts. Out: batches of steps.

use super::{Basis, Facts, Revert, RunPlan, Step};
use crate::error::Result;
use crate::graph::Node;
use crate::history::{AppState, InstalledApp};
use crate::model::BUSTARD;

/// How a run is divided into transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransactionMode {
    /// One transaction for each migration. A failure keeps earlier commits.
    #[default]
    Each,
    /// One transaction for the whole run. A failure rolls everything back.
    All,
}

/// The options of `migrate`, beside the sources.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Migrate<'m> {
    /// The last migration to apply, with its dependencies.
    pub target: Option<(&'m str, i64)>,
    pub transaction: TransactionMode,
    /// Whether the roles that may use caches are configured.
    pub grants: bool,
}

impl Facts<'_> {
    /// Plans `migrate`: Bustard's own tables in one transaction, then the pending
    /// migrations.
    pub(crate) fn plan_migrate(&self, wanted: Migrate<'_>) -> Result<RunPlan> {
        let nodes = self.forward(wanted.target)?;
        let returning = self.returning(wanted.target)?;
        let mut plan = RunPlan { basis: Basis::of(self), batches: Vec::new() };
        let incomplete = self.installed.incomplete;
        if nodes.is_empty() && returning.is_empty() && !incomplete {
            plan.push(self.takes_identity().then_some(Step::NewIdentity).into_iter().collect());
            return Ok(plan);
        }
        let is_own = |node: &Node| self.apps[node.0].label == BUSTARD;
        let (own, others): (Vec<Node>, Vec<Node>) = nodes.into_iter().partition(is_own);
        let mut first = Vec::new();
        if let Some(app) = self.apps.iter().position(|app| app.label == BUSTARD).filter(|_| incomplete) {
            let versioned = (0..self.apps[app].first_repeatable()).map(|i| (app, i));
            first.extend(versioned.filter(|node| self.applied(*node)).map(Step::Reinstall));
        }
        first.extend(own.iter().copied().map(Step::Apply));
        if !first.is_empty() {
            first.push(Step::SettleOwner);
            first.extend(wanted.grants.then_some(Step::Grant));
        }
        first.extend(returning.into_iter().map(Step::ReturnApp));
        first.extend(self.unrecorded().map(Step::AdoptApp));
        match wanted.transaction {
            TransactionMode::All => {
                first.extend(others.into_iter().map(Step::Apply));
                plan.push(first);
            }
            TransactionMode::Each => {
                let mut others = others.into_iter();
                if own.is_empty() && !incomplete {
                    // The steps before the first migration need no transaction of their
                    // own.
                    first.extend(others.next().map(Step::Apply));
                }
                plan.push(first);
                others.for_each(|node| plan.push(vec![Step::Apply(node)]));
            }
        }
        self.identify(&mut plan);
        Ok(plan)
    }

    /// Plans `revert`.
    pub(crate) fn plan_revert(&self, to: &Revert, mode: TransactionMode) -> Result<RunPlan> {
        let nodes = self.backward(to)?;
        self.needs_records()?;
        let mut plan = RunPlan { basis: Basis::of(self), batches: Vec::new() };
        let at_once = match mode {
            TransactionMode::Each => 1,
            TransactionMode::All => nodes.len().max(1),
        };
        for nodes in nodes.chunks(at_once) {
            plan.push(nodes.iter().copied().map(Step::Revert).collect());
        }
        self.identify(&mut plan);
        Ok(plan)
    }

    /// Returns a plan of one transaction.
    pub(crate) fn plan_steps(&self, steps: Vec<Step>) -> RunPlan {
        let mut plan = RunPlan { basis: Basis::of(self), batches: Vec::new() };
        plan.push(steps);
        self.identify(&mut plan);
        plan
    }

    /// Gives a copy of a database an identity of its own, in the first transaction of a plan
    /// that changes anything.
    fn identify(&self, plan: &mut RunPlan) {
        if self.takes_identity()
            && !plan.has_new_identity()
            && let Some(first) = plan.batches.first_mut()
        {
            first.steps.insert(0, Step::NewIdentity);
        }
    }

    /// Returns whether the next transaction gives the database an identity of its own.
    fn takes_identity(&self) -> bool {
        self.installed.copied && !self.installed.keeps_identity
    }

    /// Plans writing the state of an app, and the missing records.
    pub(crate) fn plan_state_of(&self, app: InstalledApp) -> RunPlan {
        let mut steps = vec![Step::SetApp(app)];
        steps.extend(self.unrecorded().map(Step::AdoptApp));
        self.plan_steps(steps)
    }

    /// Returns the apps without a record that have migrations applied by refinery.
    fn unrecorded(&self) -> impl Iterator<Item = usize> {
        (0..self.apps.len()).filter(|app| {
            let label = &self.apps[*app].label;
            let known = self.installed.state(label).is_some_and(|state| state != AppState::NotInstalled);
            !known && self.keeps_records_of(*app) && !self.histories[*app].applied.is_empty()
        })
    }

    /// Returns whether this role may write the app's records.
    pub(crate) fn keeps_records_of(&self, app: usize) -> bool {
        let label = &self.apps[app].label;
        !self.installed.guest && label != BUSTARD
    }
}
