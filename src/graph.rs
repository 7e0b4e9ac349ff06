//! The order of migrations across apps.
//!
//! In: the loaded apps. Out: every migration once, after all that it depends
//! on; among what is free to go, the smallest (app, version) first, so that the
//! order is the same every time and an app more does not change that of the
//! others. Cycles and missing migrations are named with who asked for them,
//! also where something is wrong with the sources of an app.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};

use petgraph::Direction;
use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

use crate::app::{BUSTARD, LoadedApp};
use crate::error::{Place, Problem, nearest};
use crate::migration::Dependency;

/// An app's index and a migration's index in it.
pub(crate) type Node = (usize, usize);

/// Why one migration comes before another.
#[derive(Clone, Debug)]
enum Reason {
    /// The order of versions within an app, or Bustard's own tables.
    Always,
    /// A directive, here.
    Asked(Option<Place>),
}

/// Edges go from a migration to those that come after it.
type Edges = DiGraph<Node, Reason>;

/// All migrations, what each needs, and the order in which they can be applied.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    pub order: Vec<Node>,
    needs: HashMap<Node, Vec<Node>>,
}

impl Graph {
    /// An app in `broken` may lack a migration, or have a version twice: a
    /// dependency on what cannot be found there is no problem of its own.
    ///
    /// Each problem comes with the index of the app that asked; cycles, which
    /// concern more than one, with an index after all of them.
    pub(crate) fn new(apps: &[LoadedApp], broken: &HashSet<usize>) -> Result<Self, Vec<(usize, Problem)>> {
        let mut problems = Vec::new();
        let edges = build(apps, broken, &mut problems);
        problems.extend(cycles(&edges, apps).into_iter().map(|problem| (apps.len(), problem)));
        if !problems.is_empty() {
            return Err(problems);
        }
        let needed =
            |at| edges.neighbors_directed(at, Direction::Incoming).map(|before| edges[before]).collect();
        let needs = edges.node_indices().map(|at| (edges[at], needed(at))).collect();
        Ok(Graph { order: sorted(&edges, apps), needs })
    }

    /// What must be applied just before this one.
    pub(crate) fn needs(&self, node: Node) -> &[Node] {
        self.needs.get(&node).map_or(&[], Vec::as_slice)
    }

    /// The migration and all that it needs, however far back.
    pub(crate) fn with_needs(&self, node: Node) -> HashSet<Node> {
        let mut found = HashSet::from([node]);
        let mut open = vec![node];
        while let Some(next) = open.pop() {
            open.extend(self.needs(next).iter().copied().filter(|needed| found.insert(*needed)));
        }
        found
    }
}

fn build(apps: &[LoadedApp], broken: &HashSet<usize>, problems: &mut Vec<(usize, Problem)>) -> Edges {
    let mut graph = Edges::new();
    let nodes: Vec<Vec<NodeIndex>> = (apps.iter().enumerate())
        .map(|(a, app)| (0..app.migrations.len()).map(|m| graph.add_node((a, m))).collect())
        .collect();
    let own = apps.iter().position(|app| app.label == BUSTARD);
    let last_own = own.and_then(|own| nodes[own].last().copied());
    let labels: HashMap<&str, usize> =
        apps.iter().enumerate().map(|(a, app)| (app.label.as_str(), a)).collect();

    for (a, app) in apps.iter().enumerate() {
        for pair in nodes[a].windows(2) {
            graph.add_edge(pair[0], pair[1], Reason::Always);
        }
        if let (Some(last_own), Some(first)) = (last_own.filter(|_| own != Some(a)), nodes[a].first()) {
            graph.add_edge(last_own, *first, Reason::Always);
        }
        for (m, migration) in app.migrations.iter().enumerate() {
            let this = nodes[a][m];
            let asked = |dependency: &Dependency| {
                Reason::Asked(dependency.place.clone().or_else(|| migration.file.clone()))
            };
            for (dependency, after) in (migration.migration.depends_on.iter().map(|d| (d, true)))
                .chain(migration.migration.required_by.iter().map(|d| (d, false)))
            {
                match find(dependency, a, apps, &labels, broken) {
                    Ok(Some((a, m))) if after => _ = graph.add_edge(nodes[a][m], this, asked(dependency)),
                    Ok(Some((a, m))) => _ = graph.add_edge(this, nodes[a][m], asked(dependency)),
                    Ok(None) => {}
                    Err(problem) => {
                        let problem = match asked(dependency) {
                            Reason::Asked(Some(place)) => problem.at(place),
                            _ => problem,
                        };
                        problems.push((a, problem));
                    }
                }
            }
        }
    }
    graph
}

/// The migration that is meant; none where an app without migrations is, or
/// where it may be what is wrong with its app.
fn find(
    dependency: &Dependency,
    asking: usize,
    apps: &[LoadedApp],
    labels: &HashMap<&str, usize>,
    broken: &HashSet<usize>,
) -> Result<Option<Node>, Problem> {
    let label = dependency.app.as_str();
    let Some(&a) = labels.get(label) else {
        let problem = Problem::new(format!("there is no app `{label}`"));
        let mut names: Vec<&str> = labels.keys().copied().collect();
        names.sort_unstable();
        return Err(problem.help(match nearest(label, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the apps of this run are {}", names.join(", ")),
        }));
    };
    let app = &apps[a];
    let Some(version) = dependency.version else {
        if a == asking {
            let problem = Problem::new(format!("`{label}` depends on itself as a whole"));
            return Err(problem.help("name a version; those below its own come first anyway"));
        }
        // Its other migrations come before its last one.
        return Ok(app.migrations.len().checked_sub(1).map(|last| (a, last)));
    };
    let found = app.find(version);
    if broken.contains(&a) {
        let same = app.migrations.iter().filter(|migration| migration.id.version == version);
        return Ok(found.filter(|_| same.count() == 1).map(|m| (a, m)));
    }
    if let Some(m) = found {
        return Ok(Some((a, m)));
    }
    let problem = Problem::new(format!("the app `{label}` has no migration with the version {version}"));
    Err(problem.help(match app.migrations.as_slice() {
        [] => "it has no migrations at all for this engine".to_owned(),
        some if some.len() <= 8 => {
            let ids: Vec<String> = some.iter().map(|migration| migration.id.to_string()).collect();
            format!("it has {}", ids.join(", "))
        }
        [first, .., last] => {
            format!("it has {} migrations, from {} to {}", app.migrations.len(), first.id, last.id)
        }
        [only] => format!("it has {}", only.id),
    }))
}

/// Kahn's algorithm (1962), with a heap of what is free to go.
fn sorted(graph: &Edges, apps: &[LoadedApp]) -> Vec<Node> {
    let key = |node: NodeIndex| {
        let (a, m) = graph[node];
        Reverse((apps[a].label.as_str(), apps[a].migrations[m].id.version, node))
    };
    let mut waiting: Vec<usize> =
        graph.node_indices().map(|node| graph.edges_directed(node, petgraph::Incoming).count()).collect();
    let mut free: BinaryHeap<_> =
        graph.node_indices().filter(|node| waiting[node.index()] == 0).map(key).collect();
    let mut order = Vec::with_capacity(waiting.len());
    while let Some(Reverse((_, _, node))) = free.pop() {
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

/// A problem for each knot of migrations that wait for one another.
fn cycles(graph: &Edges, apps: &[LoadedApp]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for knot in tarjan_scc(graph) {
        let itself = |node: NodeIndex| graph.contains_edge(node, node);
        let Some(&start) = knot.iter().min_by_key(|node| {
            let (a, m) = graph[**node];
            (&apps[a].label, m)
        }) else {
            continue;
        };
        if knot.len() == 1 && !itself(start) {
            continue;
        }
        problems.push(describe(&around(graph, start, &knot), graph, apps));
    }
    problems.sort_by_key(|problem| problem.place().cloned());
    problems
}

/// The shortest way from a migration to itself, backwards: each depends on the next.
fn around(graph: &Edges, start: NodeIndex, knot: &[NodeIndex]) -> Vec<(NodeIndex, Reason)> {
    let knot: HashSet<NodeIndex> = knot.iter().copied().collect();
    let mut came_from: HashMap<NodeIndex, (NodeIndex, Reason)> = HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        let mut before: Vec<_> = graph.edges_directed(node, petgraph::Incoming).collect();
        before.sort_by_key(|edge| edge.source());
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
            if knot.contains(&next) && next != node && !came_from.contains_key(&next) {
                came_from.insert(next, (node, edge.weight().clone()));
                queue.push_back(next);
            }
        }
    }
    // Not reached: a knot is what can be reached from itself.
    Vec::new()
}

fn describe(path: &[(NodeIndex, Reason)], graph: &Edges, apps: &[LoadedApp]) -> Problem {
    let called = |node: NodeIndex| {
        let (a, m) = graph[node];
        let id = &apps[a].migrations[m].id;
        format!("{} {}{}", apps[a].label, id.prefix, id.version)
    };
    let mut names: Vec<String> = path.iter().map(|(node, _)| called(*node)).collect();
    names.extend(names.first().cloned());
    let mut steps = Vec::new();
    let mut first_place = None;
    for (pair, (_, reason)) in names.windows(2).zip(path) {
        let why = match reason {
            Reason::Always => "the order of versions says so".to_owned(),
            Reason::Asked(None) => "asked in code".to_owned(),
            Reason::Asked(Some(place)) => {
                first_place.get_or_insert_with(|| place.clone());
                format!("asked in {place}")
            }
        };
        steps.push(format!("{} comes after {}: {why}", pair[0], pair[1]));
    }
    let problem = Problem::new(format!("migrations depend on each other in a circle: {}", names.join(" → ")));
    let problem = problem.help(format!("take one of these away:\n    {}", steps.join("\n    ")));
    match first_place {
        Some(place) => problem.at(place),
        None => problem,
    }
}

#[cfg(test)]
mod tests;
