//! The order of migrations across apps.
//!
//! In: the loaded apps. Out: all migrations, each after its dependencies, or diagnostics
//! of dependency cycles and missing dependencies with the place of the directive.
//!
//! Among migrations without pending dependencies, repeatable migrations come first, then
//! the smallest (app, version). The order is therefore deterministic, and adding an app
//! does not change the order of the other apps. Diagnostics are reported even if the
//! sources of an app have other errors.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};

use petgraph::Direction;
use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

use crate::diagnostic::{Code, Diagnostic, Place, nearest};
use crate::model::{BUSTARD, Dependency, LoadedApp, Which};

/// The index of an app and the index of a migration in the app.
pub(crate) type Node = (usize, usize);

/// The directive that declares the order of two migrations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum DependencyKind {
    /// The later migration depends on the earlier one, and declares it.
    DependsOn,
    /// The later migration depends on a whole app. The earlier migration is the last
    /// migration of that app.
    DependsOnApp,
    /// The earlier migration is required by the later one, and declares it.
    RequiredBy,
}

/// The reason why one migration comes before another.
#[derive(Clone, Debug)]
enum EdgeReason {
    /// The order of versions within an app.
    Versions,
    /// Repeatable migrations come after the versions of their app.
    Repeatable,
    /// Every app depends on Bustard's own tables and functions.
    Bustard,
    /// A directive, with its place.
    Declared(DependencyKind, Option<Place>),
}

/// A graph whose edges lead from a migration to later migrations.
type Edges = DiGraph<Node, EdgeReason>;

/// All migrations, their dependencies, and an order in which they can be applied.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    pub order: Vec<Node>,
    dependencies: HashMap<Node, Vec<Node>>,
    edges: Edges,
}

impl Graph {
    /// Builds the graph. An app in `broken` may lack migrations or have duplicate versions,
    /// so a missing dependency on such an app is not reported.
    ///
    /// Each diagnostic has the index of the app whose directive it is about. Cycles, which
    /// involve several apps, have an index after all apps.
    pub(crate) fn new(apps: &[LoadedApp], broken: &HashSet<usize>) -> Result<Self, Vec<(usize, Diagnostic)>> {
        let mut errors = Vec::new();
        let edges = build(apps, broken, &mut errors);
        let order = sorted(&edges, apps);
        if order.len() < edges.node_count() {
            errors.extend(cycles(&edges, apps).into_iter().map(|cycle| (apps.len(), cycle)));
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let direct =
            |at| edges.neighbors_directed(at, Direction::Incoming).map(|before| edges[before]).collect();
        let dependencies = edges.node_indices().map(|at| (edges[at], direct(at))).collect();
        Ok(Graph { order, dependencies, edges })
    }

    /// Returns the direct dependencies of a migration.
    pub(crate) fn dependencies(&self, node: Node) -> &[Node] {
        self.dependencies.get(&node).map_or(&[], Vec::as_slice)
    }

    /// Returns the declared dependencies: the earlier migration, the later one, the
    /// directive and its place.
    pub(crate) fn declared(&self) -> impl Iterator<Item = (Node, Node, DependencyKind, Option<&Place>)> {
        self.edges.edge_references().filter_map(|edge| match edge.weight() {
            EdgeReason::Versions | EdgeReason::Repeatable | EdgeReason::Bustard => None,
            EdgeReason::Declared(asked, place) => {
                Some((self.edges[edge.source()], self.edges[edge.target()], *asked, place.as_ref()))
            }
        })
    }

    /// Returns the migration and all its direct and indirect dependencies.
    pub(crate) fn with_dependencies(&self, node: Node) -> HashSet<Node> {
        let mut found = HashSet::from([node]);
        let mut open = vec![node];
        while let Some(next) = open.pop() {
            open.extend(
                self.dependencies(next).iter().copied().filter(|dependency| found.insert(*dependency)),
            );
        }
        found
    }
}

fn build(apps: &[LoadedApp], broken: &HashSet<usize>, errors: &mut Vec<(usize, Diagnostic)>) -> Edges {
    let mut graph = Edges::new();
    let nodes: Vec<Vec<NodeIndex>> = (apps.iter().enumerate())
        .map(|(a, app)| (0..app.migrations.len()).map(|m| graph.add_node((a, m))).collect())
        .collect();
    let own = apps.iter().position(|app| app.label == BUSTARD);
    let mut last_own = None;
    let labels: HashMap<&str, usize> =
        apps.iter().enumerate().map(|(a, app)| (app.label.as_str(), a)).collect();

    // Bustard's own migrations come first, because every other app depends on the last of
    // them.
    let others = (0..apps.len()).filter(|a| own != Some(*a));
    for a in own.into_iter().chain(others) {
        let app = &apps[a];
        let (versions, repeatables) = nodes[a].split_at(app.first_repeatable());
        for pair in versions.windows(2) {
            graph.add_edge(pair[0], pair[1], EdgeReason::Versions);
        }
        if let Some(last) = versions.last() {
            repeatables.iter().for_each(|node| _ = graph.add_edge(*last, *node, EdgeReason::Repeatable));
        }
        if let Some(last_own) = last_own {
            let first = versions.first().map_or(repeatables, std::slice::from_ref);
            first.iter().for_each(|node| _ = graph.add_edge(last_own, *node, EdgeReason::Bustard));
        }
        for (m, migration) in app.migrations.iter().enumerate() {
            let this = nodes[a][m];
            let place = |dependency: &Dependency| dependency.place.clone().or_else(|| migration.file.clone());
            let depends = |dependency: &Dependency| match dependency.which {
                Which::Version(_) | Which::Repeatable(_) => DependencyKind::DependsOn,
                Which::All => DependencyKind::DependsOnApp,
            };
            let subject = |relation| format!("{}:{} {relation}", app.label, migration.id);
            for (dependency, how) in (migration.depends_on.iter().map(|d| (d, depends(d))))
                .chain(migration.required_by.iter().map(|d| (d, DependencyKind::RequiredBy)))
            {
                match find(dependency, a, apps, &labels, broken) {
                    Ok(found) => found.into_iter().for_each(|(a, m)| {
                        let other = nodes[a][m];
                        let (before, after) =
                            if how == DependencyKind::RequiredBy { (this, other) } else { (other, this) };
                        graph.add_edge(before, after, EdgeReason::Declared(how, place(dependency)));
                    }),
                    Err(mut error) => {
                        let relation =
                            if how == DependencyKind::RequiredBy { "is required by" } else { "depends on" };
                        error.message = format!("{} {}", subject(relation), error.message);
                        let error = match place(dependency) {
                            Some(place) => error.at(place),
                            None => error,
                        };
                        errors.push((a, error));
                    }
                }
            }
        }
        if own == Some(a) {
            last_own = chain(&mut graph, apps, a, &nodes[a]);
        }
    }
    graph
}

/// Chains Bustard's own migrations, so that one edge orders an app after all of them.
/// Returns the last migration of the chain.
fn chain(graph: &mut Edges, apps: &[LoadedApp], own: usize, nodes: &[NodeIndex]) -> Option<NodeIndex> {
    let order: Vec<NodeIndex> =
        sorted(graph, apps).into_iter().filter(|(a, _)| *a == own).map(|(_, m)| nodes[m]).collect();
    for pair in order.windows(2) {
        if !graph.contains_edge(pair[0], pair[1]) {
            graph.add_edge(pair[0], pair[1], EdgeReason::Bustard);
        }
    }
    order.last().copied()
}

/// Returns the migrations that a dependency refers to. A dependency on a whole app refers
/// to the last migrations of that app. Returns no migration if the app has none, or if the
/// app is broken and the migration is missing or ambiguous.
fn find(
    dependency: &Dependency,
    asking: usize,
    apps: &[LoadedApp],
    labels: &HashMap<&str, usize>,
    broken: &HashSet<usize>,
) -> Result<Vec<Node>, Diagnostic> {
    let label = dependency.app.as_str();
    let Some(&a) = labels.get(label) else {
        let error = Diagnostic::new(Code::UnknownApp, format!("the app `{label}`, which does not exist"));
        let mut names: Vec<&str> = labels.keys().copied().collect();
        names.sort_unstable();
        // A dependency on the app itself is another error, so do not suggest it.
        let others = names.iter().copied().filter(|name| *name != apps[asking].label);
        return Err(error.help(match nearest(label, others) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the apps of this run are {}", names.join(", ")),
        }));
    };
    let app = &apps[a];
    let found = match &dependency.which {
        Which::All if a == asking => {
            let error = Diagnostic::new(Code::SelfDependency, format!("its own app `{label}` as a whole"));
            return Err(error.help("name a version; lower versions of the app are applied first anyway"));
        }
        // All other migrations of the app come before these.
        Which::All => {
            let last = app.migrations.len().saturating_sub(1).min(app.first_repeatable());
            return Ok((last..app.migrations.len()).map(|m| (a, m)).collect());
        }
        Which::Version(version) => app.find(*version),
        Which::Repeatable(name) => app.find_repeatable(name),
    };
    if broken.contains(&a) {
        let same = |m: &usize| {
            let id = &app.migrations[*m].id;
            app.migrations.iter().filter(|other| other.id.short() == id.short()).count() == 1
        };
        return Ok(found.filter(same).map(|m| (a, m)).into_iter().collect());
    }
    if let Some(m) = found {
        return Ok(vec![(a, m)]);
    }
    Err(missing(app, &dependency.which))
}

/// Returns the diagnostic of a dependency on a migration that the app does not have.
fn missing(app: &LoadedApp, which: &Which) -> Diagnostic {
    let label = &app.label;
    let what = match which {
        Which::Repeatable(name) => format!("the repeatable migration {name}"),
        Which::All | Which::Version(_) => format!("version{}", which.suffix()),
    };
    let message = format!("{what} of the app `{label}`, which has no such migration for this engine");
    let alike = match which {
        Which::Repeatable(_) => app.repeatables(),
        Which::All | Which::Version(_) => app.versioned(),
    };
    Diagnostic::new(Code::UnknownDependency, message).help(match alike {
        [] if matches!(which, Which::Repeatable(_)) => "it has no repeatable migration".to_owned(),
        [] => "it has no migrations".to_owned(),
        some if some.len() <= 8 => {
            let ids: Vec<String> = some.iter().map(|migration| migration.id.to_string()).collect();
            format!("it has {}", ids.join(", "))
        }
        [first, .., last] => {
            format!("it has {} migrations, from {} to {}", alike.len(), first.id, last.id)
        }
        [only] => format!("it has {}", only.id),
    })
}

/// Sorts the migrations topologically by Kahn's algorithm (1962), with a heap of the
/// migrations without pending dependencies. Migrations in a cycle are left out.
fn sorted(graph: &Edges, apps: &[LoadedApp]) -> Vec<Node> {
    let key = |node: NodeIndex| {
        let (a, m) = graph[node];
        Reverse((!apps[a].migrations[m].is_repeatable(), apps[a].label.as_str(), m, node))
    };
    let mut waiting: Vec<usize> =
        graph.node_indices().map(|node| graph.edges_directed(node, petgraph::Incoming).count()).collect();
    let mut free: BinaryHeap<_> =
        graph.node_indices().filter(|node| waiting[node.index()] == 0).map(key).collect();
    let mut order = Vec::with_capacity(waiting.len());
    while let Some(Reverse((.., node))) = free.pop() {
        order.push(graph[node]);
        for after in graph.neighbors(node) {
            waiting[after.index()] -= 1;
            if waiting[after.index()] == 0 {
                free.push(key(after));
            }
        }
    }
    order
}

/// Returns a diagnostic for each strongly connected component: a group of migrations that
/// depend on one another.
fn cycles(graph: &Edges, apps: &[LoadedApp]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    // Tarjan's algorithm is recursive, and the depth would be the length of a history.
    for component in kosaraju_scc(graph) {
        let itself = |node: NodeIndex| graph.contains_edge(node, node);
        let Some(&start) = component.iter().min_by_key(|node| {
            let (a, m) = graph[**node];
            (&apps[a].label, m)
        }) else {
            continue;
        };
        if component.len() == 1 && !itself(start) {
            continue;
        }
        found.push(describe(around(graph, start, &component, apps), graph, apps));
    }
    found.sort_by(|a, b| (a.place(), &a.message).cmp(&(b.place(), &b.message)));
    found
}

/// Returns the shortest cycle through a migration. Each element depends on the next.
fn around(
    graph: &Edges,
    start: NodeIndex,
    component: &[NodeIndex],
    apps: &[LoadedApp],
) -> Vec<(NodeIndex, EdgeReason)> {
    let component: HashSet<NodeIndex> = component.iter().copied().collect();
    let mut came_from: HashMap<NodeIndex, (NodeIndex, EdgeReason)> = HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        let mut before: Vec<_> = graph.edges_directed(node, petgraph::Incoming).collect();
        // The edges are sorted, so that the choice among equally short cycles does not
        // depend on the order of the apps.
        before.sort_by_key(|edge| {
            let (a, m) = graph[edge.source()];
            (&apps[a].label, m)
        });
        for edge in before {
            let next = edge.source();
            if next == start {
                let mut path = vec![(node, edge.weight().clone())];
                let mut at = node;
                while let Some((from, reason)) = came_from.get(&at) {
                    path.push((*from, reason.clone()));
                    at = *from;
                }
                path.reverse();
                return path;
            }
            if component.contains(&next) && next != node && !came_from.contains_key(&next) {
                came_from.insert(next, (node, edge.weight().clone()));
                queue.push_back(next);
            }
        }
    }
    // This is not reached, because in a component every migration can be reached from
    // itself.
    Vec::new()
}

fn describe(mut path: Vec<(NodeIndex, EdgeReason)>, graph: &Edges, apps: &[LoadedApp]) -> Diagnostic {
    // Show a sequence of consecutive versions of an app as one step.
    path.dedup_by(|next, last| matches!((&next.1, &last.1), (EdgeReason::Versions, EdgeReason::Versions)));
    let name = |node: NodeIndex| {
        let (a, m) = graph[node];
        format!("{} {}", apps[a].label, apps[a].migrations[m].id.short())
    };
    let mut names: Vec<String> = path.iter().map(|(node, _)| name(*node)).collect();
    names.extend(names.first().cloned());
    let mut steps = Vec::new();
    let mut first_place = None;
    for (pair, (_, reason)) in names.windows(2).zip(&path) {
        let why = match reason {
            EdgeReason::Versions => "the order of versions".to_owned(),
            EdgeReason::Repeatable => "repeatable migrations come after the versions of their app".to_owned(),
            EdgeReason::Bustard => "every app depends on Bustard's own tables and functions".to_owned(),
            EdgeReason::Declared(_, None) => "declared in code".to_owned(),
            EdgeReason::Declared(_, Some(place)) => {
                first_place.get_or_insert_with(|| place.clone());
                format!("declared in {place}")
            }
        };
        steps.push(format!("{} comes after {}: {why}", pair[0], pair[1]));
    }
    let message = format!("dependency cycle: {}", names.join(" → "));
    let cycle = Diagnostic::new(Code::DependencyCycle, message)
        .help(format!("remove one of these dependencies:\n    {}", steps.join("\n    ")));
    match first_place {
        Some(place) => cycle.at(place),
        None => cycle,
    }
}

#[cfg(test)]
mod tests;
