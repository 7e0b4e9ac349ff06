//! Judging the texts of migrations. Pure.
//!
//! In: facts. Out: the errors in the texts that a run would execute, all together. The
//! text of an applied migration is compared by its checksum, and never judged. What
//! reverts it is judged before it is reverted.

use super::{Facts, Sources, State};
use crate::diagnostic::Diagnostic;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::Node;
use crate::model::LoadedMigration;

impl Facts<'_> {
    /// Judges all pending migrations. With `fake`, no statement is executed, so statements
    /// that cannot be run are no errors.
    pub(crate) fn judge(&self, fake: bool) -> Result<()> {
        let pending = self.graph.order.iter().copied().filter(|node| self.is_judged(*node));
        refuse(pending.flat_map(|node| errors(node.0, self.migration(node), fake)))
    }

    /// Judges what reverts these migrations.
    pub(crate) fn judge_reverting(&self, nodes: impl Iterator<Item = Node>) -> Result<()> {
        let errors = |node: Node| self.migration(node).errors_in_down().map(move |error| (node.0, error));
        refuse(nodes.flat_map(errors))
    }

    /// Returns the warnings about the texts of pending migrations.
    pub(super) fn warnings_of_texts(&self) -> impl Iterator<Item = Diagnostic> {
        let pending = self.graph.order.iter().filter(|node| self.is_judged(**node));
        pending.flat_map(|node| self.migration(*node).reading().warnings.iter().cloned())
    }

    fn is_judged(&self, node: Node) -> bool {
        !self.is_disabled(node.0) && matches!(self.state(node), State::Pending | State::OutOfOrder)
    }
}

impl Sources {
    /// Judges all migrations, because nothing is applied.
    pub(crate) fn judge(&self, fake: bool) -> Result<()> {
        let apps = self.apps.iter().enumerate();
        let all = apps.flat_map(|(a, app)| app.migrations.iter().map(move |migration| (a, migration)));
        refuse(all.flat_map(|(a, migration)| errors(a, migration, fake)))
    }
}

/// Returns the errors in the text of a migration, each with the index of its app.
fn errors(app: usize, migration: &LoadedMigration, fake: bool) -> impl Iterator<Item = (usize, &Diagnostic)> {
    let errors = migration.reading().errors.iter().filter(move |error| !(fake && error.unrunnable));
    errors.map(move |error| (app, &error.diagnostic))
}

/// Returns all errors as one, in the order of apps and places.
fn refuse<'d>(errors: impl Iterator<Item = (usize, &'d Diagnostic)>) -> Result<()> {
    let mut errors: Vec<(usize, &Diagnostic)> = errors.collect();
    if errors.is_empty() {
        return Ok(());
    }
    errors.sort_by(|(a, one), (b, other)| (a, one.place()).cmp(&(b, other.place())));
    let errors = errors.into_iter().map(|(_, error)| error.clone()).collect();
    Err(Error::from_diagnostics(ErrorKind::Source, errors))
}
