//! The state of each migration. All functions are pure.
//!
//! In: the file and the history row of a migration, and its record if they differ. Out: its
//! `State`.

use std::cell::RefCell;
use std::collections::HashMap;

use super::Facts;
use super::repeatable_state::{self, RepeatableState};
use crate::graph::Node;
use crate::history::{Likeness, body_checksum, differs_in_mark, likeness, text_checksum};
use crate::model::{Applied, Prefix};

/// A cache of comparisons, keyed by the checksum and name of the history row. Without it,
/// a run would hash every file again under each lock.
#[derive(Debug, Default)]
pub(crate) struct Memory(RefCell<HashMap<Node, (String, String, Likeness)>>);

/// The state of a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// Applied and unchanged, or changed in its dependencies only.
    Applied,
    /// Not applied yet.
    Pending,
    /// Not applied yet, but older than an applied migration.
    OutOfOrder,
    /// Applied, but changed since.
    Divergent,
    /// Applied, but without a file.
    Missing,
    /// A repeatable migration with a text that a newer text has replaced. The text comes
    /// from an older release.
    Superseded,
}

impl State {
    /// Returns the word for the state in documents, such as `out_of_order`.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Applied => "applied",
            State::Pending => "pending",
            State::OutOfOrder => "out_of_order",
            State::Divergent => "divergent",
            State::Missing => "missing",
            State::Superseded => "superseded",
        }
    }
}

impl Facts<'_> {
    /// Returns the history row. A repeatable migration has none.
    pub(crate) fn row(&self, node: Node) -> Option<&Applied> {
        let migration = self.migration(node);
        if migration.is_repeatable() {
            return None;
        }
        self.histories[node.0].find(migration.id.version)
    }

    /// Returns whether the migration is applied. A repeatable migration must be applied
    /// with its current text.
    pub(crate) fn applied(&self, node: Node) -> bool {
        match self.repeatable(node) {
            Some(state) => state == RepeatableState::Installed,
            None => self.row(node).is_some(),
        }
    }

    /// Returns the state of a repeatable migration; `None` for a versioned migration.
    pub(crate) fn repeatable(&self, node: Node) -> Option<RepeatableState> {
        let (app, migration) = (&self.apps[node.0], self.migration(node));
        let all = &self.installed.repeatables;
        let recorded = || all.find(&app.label, &migration.id.name);
        let state = || repeatable_state::state(&text_checksum(migration), app.edition, recorded(), all);
        migration.is_repeatable().then(state)
    }

    /// Returns the date on which the migration was applied, as the database has recorded
    /// it.
    pub(crate) fn applied_on(&self, node: Node) -> Option<&str> {
        let migration = self.migration(node);
        if !migration.is_repeatable() {
            return self.row(node).map(|row| row.applied_on.as_str());
        }
        let recorded = self.installed.repeatables.find(&self.apps[node.0].label, &migration.id.name)?;
        recorded.current.as_ref().map(|current| current.installed_at.as_str())
    }

    fn remembered(&self, node: Node, row: &Applied) -> Option<Likeness> {
        let memory = self.memory.0.borrow();
        let (sum, name, likeness) = memory.get(&node)?;
        (*sum == row.checksum && *name == row.name).then_some(*likeness)
    }

    fn remember(&self, node: Node, row: &Applied, likeness: Likeness) {
        self.memory.0.borrow_mut().insert(node, (row.checksum.clone(), row.name.clone(), likeness));
    }

    /// Compares the row with the file.
    fn likeness(&self, node: Node, row: &Applied) -> Likeness {
        if let Some(likeness) = self.remembered(node, row) {
            return likeness;
        }
        let likeness = likeness(row, self.migration(node), self.histories[node.0].width());
        if likeness != Likeness::Different {
            self.remember(node, row, likeness);
        }
        likeness
    }

    /// Returns the migrations with another checksum. Their records may show that only their
    /// dependencies have changed.
    pub(crate) fn doubtful(&self) -> Vec<Node> {
        if !self.has_registry() {
            return Vec::new();
        }
        let doubtful = |node: &Node| {
            self.row(*node).is_some_and(|row| {
                self.remembered(*node, row).is_none() && self.likeness(*node, row) == Likeness::Different
            })
        };
        self.graph.order.iter().copied().filter(|node| !self.is_disabled(node.0) && doubtful(node)).collect()
    }

    /// Decides about doubtful migrations by their recorded body checksums.
    pub(crate) fn settle(&self, doubtful: &[Node], recorded: &[(String, i64, String)]) {
        let sums: HashMap<(&str, i64), &str> =
            recorded.iter().map(|(app, version, sum)| ((app.as_str(), *version), sum.as_str())).collect();
        for &node in doubtful {
            let (Some(row), migration) = (self.row(node), self.migration(node)) else { continue };
            let recorded = sums.get(&(self.apps[node.0].label.as_str(), migration.id.version));
            // The body does not include a byte order mark.
            let width = self.histories[node.0].width();
            let same = row.name == migration.id.name
                && recorded
                    .is_some_and(|recorded| body_checksum(migration).is_ok_and(|body| **recorded == body))
                && !differs_in_mark(row, migration, width);
            self.remember(node, row, if same { Likeness::OtherDependencies } else { Likeness::Different });
        }
    }

    /// Returns the state of the migration.
    pub(crate) fn state(&self, node: Node) -> State {
        match self.repeatable(node) {
            Some(RepeatableState::Installed) => return State::Applied,
            Some(RepeatableState::New | RepeatableState::Changed | RepeatableState::Edited) => {
                return State::Pending;
            }
            Some(RepeatableState::Superseded) => return State::Superseded,
            None => {}
        }
        match self.row(node) {
            Some(row) if self.likeness(node, row) == Likeness::Different => State::Divergent,
            Some(_) => State::Applied,
            None if self.is_late(node) => State::OutOfOrder,
            None => State::Pending,
        }
    }

    /// Returns whether the migration is applied and its dependencies have changed since.
    pub(crate) fn has_other_dependencies(&self, node: Node) -> bool {
        self.row(node).is_some_and(|row| self.likeness(node, row) == Likeness::OtherDependencies)
    }

    /// Returns whether the migration is a `V` below an applied `V`. (Refinery compares with
    /// the highest version, so an applied `U` makes every pending `V` below it look
    /// missing.)
    fn is_late(&self, node: Node) -> bool {
        let id = &self.migration(node).id;
        if id.prefix == Prefix::U {
            return false;
        }
        let app = &self.apps[node.0];
        let newest = self.histories[node.0]
            .applied
            .iter()
            .rev()
            .find(|row| app.find(row.version).is_none_or(|i| app.migrations[i].id.prefix == Prefix::V));
        newest.is_some_and(|row| row.version > id.version)
    }

    /// Returns the rows without a file, by app.
    pub(crate) fn missing(&self) -> impl Iterator<Item = (usize, &Applied)> {
        self.apps.iter().zip(self.histories).enumerate().flat_map(|(i, (app, history))| {
            history.applied.iter().filter(|row| app.find(row.version).is_none()).map(move |row| (i, row))
        })
    }
}
