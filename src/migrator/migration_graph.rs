//! Which migration comes before which, as plain data: from it the command makes
//! text, pictures and JSON.

use std::collections::HashMap;

use crate::diagnostic::Place;
use crate::graph::{DependencyKind, Graph, Node};
use crate::model::{BUSTARD, LoadedApp, MigrationId};

/// The migrations of all apps and how they depend on one another.
///
/// What nobody has to say is left out: that the versions of an app follow each
/// other, and that Bustard's own tables come first.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct MigrationGraph {
    /// The labels of the apps, sorted; those without migrations as well.
    pub apps: Vec<String>,
    /// Every migration, in the order in which an empty database gets them.
    pub migrations: Vec<GraphMigration>,
    /// What was asked for, in the order of the migrations that come later.
    pub edges: Vec<GraphEdge>,
}

/// One migration of a [`MigrationGraph`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GraphMigration {
    /// The app's label.
    pub app: String,
    /// The migration.
    pub migration: MigrationId,
    /// The file, where there is one.
    pub file: Option<Place>,
}

/// One migration that comes after another, since one of the two says so.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GraphEdge {
    /// The label of the later one's app.
    pub app: String,
    /// The later one.
    pub migration: MigrationId,
    /// The label of the earlier one's app.
    pub needs_app: String,
    /// The earlier one.
    pub needs: MigrationId,
    /// Which of the two asked, and how.
    pub asked: DependencyKind,
    /// Where it asked: in a file, or in the code of which migration.
    pub place: Option<Place>,
}

pub(super) fn of(apps: &[LoadedApp], graph: &Graph) -> MigrationGraph {
    let is_shown = |(a, _): Node| apps[a].label != BUSTARD;
    let called = |(a, m): Node| (apps[a].label.clone(), apps[a].migrations[m].id.clone());
    let mut labels: Vec<String> =
        apps.iter().filter(|app| app.label != BUSTARD).map(|app| app.label.clone()).collect();
    labels.sort_unstable();
    let migrations = graph.order.iter().filter(|node| is_shown(**node)).map(|&(a, m)| {
        let (app, migration) = called((a, m));
        GraphMigration { app, migration, file: apps[a].migrations[m].file.clone() }
    });

    let position: HashMap<Node, usize> = graph.order.iter().enumerate().map(|(n, node)| (*node, n)).collect();
    let mut asked: Vec<_> =
        graph.declared().filter(|(before, after, ..)| is_shown(*before) && is_shown(*after)).collect();
    asked
        .sort_by_key(|(before, after, how, place)| (position.get(after), position.get(before), *how, *place));
    let edges = asked.into_iter().map(|(before, after, asked, place)| {
        let ((needs_app, needs), (app, migration)) = (called(before), called(after));
        GraphEdge { app, migration, needs_app, needs, asked, place: place.cloned() }
    });
    MigrationGraph { apps: labels, migrations: migrations.collect(), edges: edges.collect() }
}
