//! The migrations and their dependencies as plain data.
//!
//! In: the sources. Out: a `MigrationGraph`, which the command shows as text, a diagram
//! or JSON.

use std::collections::HashMap;

use crate::diagnostic::Place;
use crate::graph::{DependencyKind, Graph, Node};
use crate::model::{BUSTARD, LoadedApp, MigrationId};

/// The migrations of all apps and the dependencies between them.
///
/// The graph contains only declared dependencies. It does not contain the order of versions
/// in an app, nor the dependency of every app on Bustard's own tables.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct MigrationGraph {
    /// The labels of the apps, sorted, including apps without migrations.
    pub apps: Vec<String>,
    /// Every migration, in the order in which an empty database would get them.
    pub migrations: Vec<GraphMigration>,
    /// The declared dependencies, in the order of the dependent migrations.
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
    /// The file, if there is one.
    pub file: Option<Place>,
}

/// A dependency between two migrations, declared by one of them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GraphEdge {
    /// The label of the dependent migration's app.
    pub app: String,
    /// The dependent migration, which comes later.
    pub migration: MigrationId,
    /// The label of the dependency's app.
    pub needs_app: String,
    /// The dependency, which comes earlier.
    pub needs: MigrationId,
    /// The directive, which also tells which of the two migrations declares the dependency.
    pub asked: DependencyKind,
    /// The place of the declaration: a file, or the code of a migration.
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
