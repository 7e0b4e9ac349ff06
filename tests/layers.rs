//! Tests that `src/` follows the layers in the README's table, whose rows are called rooms:
//! which rooms and libraries a room may name, and whether it may read files. Also tests the
//! length of files, and that sibling modules form no cycle. `rooms` tests further rules.
//!
//! Modules are read as the compiler reads them, from `lib.rs` and `main.rs` along
//! their `mod` items, without `#[cfg(test)]`. Each path in them is resolved to a
//! module or a library.

#[path = "layers/language.rs"]
mod language;
mod rooms;
mod source_paths;

use std::collections::{BTreeMap, BTreeSet};

use source_paths::{Module, Origin, Sources};

const LONGEST_FILE: usize = 500;

/// A row of the README's table: rooms with the rooms and libraries that they may
/// name. Every room may name `std` and itself.
#[derive(Debug)]
struct Layer {
    rooms: Vec<String>,
    may_use: Vec<String>,
    libraries: Vec<String>,
    reads_files: bool,
}

/// Types of libraries that are allowed on purpose: the open transaction for a function, and
/// migrations that refinery has loaded.
const HANDED_OVER: &[(&str, &[&str])] = &[
    ("model", &["postgres", "Transaction"]),
    ("model", &["rusqlite", "Connection"]),
    ("model", &["refinery_core", "Migration"]),
    ("testing", &["rusqlite", "Connection"]),
    ("source", &["refinery_core", "Migration"]),
];

/// The modules that users of the library may name.
const PUBLIC: &[&str] = &["build", "cli", "config", "diagnostic", "registry", "report", "testing"];

/// Macros at the root of the crate that are defined in a room.
const MACROS: &[&str] = &["app"];

#[derive(Debug, Default)]
struct Findings {
    files: usize,
    paths: usize,
    /// The number of pairs of sibling modules of which the first names the second.
    pairs: usize,
    violations: Vec<String>,
}

/// Returns the rows of the table under "Architecture".
fn layers(readme: &str) -> Vec<Layer> {
    let section = readme.split("\n## Architecture\n").nth(1).expect("the README has an architecture");
    let section = section.split("\n## ").next().unwrap_or(section);
    let names = |cell: &str| -> Vec<String> {
        let quoted = cell.split('`').skip(1).step_by(2);
        quoted.map(|name| name.trim_end_matches('/').to_owned()).collect()
    };
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let layers: Vec<Layer> = rows
        .map(|row| {
            let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
            let [rooms, may_use, libraries] = cells[..] else { panic!("three columns: {row}") };
            let reads_files = libraries.contains("reads files");
            Layer { rooms: names(rooms), may_use: names(may_use), libraries: names(libraries), reads_files }
        })
        .collect();
    assert!(layers.len() > 10, "the README's table has only {} rows", layers.len());
    layers
}

/// Runs every check.
fn check(sources: &Sources, manifest: &str, readme: &str) -> Findings {
    let libraries = dependencies(manifest);
    let layers = layers(readme);
    let mut findings = Findings::default();
    let mut named = BTreeSet::new();
    let modules = sources.modules();
    // The lowest layer is the first row of the table, so a row names only rows above
    // itself.
    let mut below = BTreeSet::new();
    for layer in &layers {
        for room in layer.may_use.iter().filter(|room| !below.contains(*room)) {
            findings
                .violations
                .push(format!("README.md: {} may use {room}, which is not below", layer.rooms.join(", ")));
        }
        below.extend(layer.rooms.iter().cloned());
    }
    for module in &modules {
        findings.files += 1;
        if module.lines > LONGEST_FILE {
            findings.violations.push(format!("{}: {} lines", module.file, module.lines));
        }
        if module.production {
            check_module(module, &modules, &layers, &libraries, &mut named, &mut findings);
        }
    }
    let there: BTreeSet<&str> =
        modules.iter().filter(|m| m.production).map(|m| room(m.origin, &m.path)).collect();
    for gone in below.iter().filter(|room| !there.contains(room.as_str())) {
        findings.violations.push(format!("README.md: there is no module {gone}"));
    }
    for library in libraries.difference(&named).filter(|library| *library != "bustard") {
        findings.violations.push(format!("Cargo.toml: nothing in src names {library}"));
    }
    check_circles(&modules, &mut findings);
    findings
}

fn check_module(
    module: &Module,
    modules: &[Module],
    layers: &[Layer],
    libraries: &BTreeSet<String>,
    named: &mut BTreeSet<String>,
    findings: &mut Findings,
) {
    let mut complain = |line: usize, what: String| {
        findings.violations.push(format!("{}:{line}: {what}", module.file));
    };
    let room = room(module.origin, &module.path);
    let layer = layers.iter().find(|layer| layer.rooms.iter().any(|name| name == room));
    if layer.is_none() && room != "lib" {
        complain(1, format!("{room} belongs to no layer"));
    }
    for (line, word) in &module.items {
        if room == "lib" {
            complain(*line, format!("lib.rs has docs and re-exports only, not `{word}`"));
        }
    }
    for path in &module.paths {
        findings.paths += 1;
        let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
        let line = path.line;
        if let Some(target) = module.resolve(modules, path) {
            let target = self::room(module.origin, target);
            let is_macro = target == "lib" && MACROS.contains(segments.last().unwrap_or(&""));
            let may = layer.is_none_or(|layer| layer.may_use.iter().any(|name| name == target));
            if !may && room != target && !is_macro {
                complain(line, format!("{room} must not use {target}"));
            }
        } else if let Some(private) = private(&segments, modules) {
            complain(line, format!("{room} must not use {private}, which is not public"));
        } else if libraries.contains(segments[0]) {
            named.insert(segments[0].to_owned());
            let handed_over = HANDED_OVER.iter().any(|(r, path)| *r == room && segments.starts_with(path));
            let may = layer.is_none_or(|layer| layer.libraries.iter().any(|name| name == segments[0]));
            if !handed_over && !may {
                complain(line, format!("{room} must not use the library {}", segments[0]));
            }
        } else if segments.starts_with(&["std", "fs"]) && layer.is_some_and(|layer| !layer.reads_files) {
            complain(line, format!("{room} must not read files"));
        }
    }
}

/// Finds cycles of sibling modules, at any depth. A module and its submodules count as one
/// module, so they may use each other.
fn check_circles(modules: &[Module], findings: &mut Findings) {
    type Graph<'m> = BTreeMap<&'m str, BTreeMap<&'m str, String>>;
    let mut graphs: BTreeMap<(bool, Vec<String>), Graph<'_>> = BTreeMap::new();
    for module in modules.iter().filter(|module| module.production) {
        for path in &module.paths {
            let Some(target) = module.resolve(modules, path) else { continue };
            let common = module.path.iter().zip(target).take_while(|(a, b)| a == b).count();
            if let (Some(from), Some(to)) = (module.path.get(common), target.get(common)) {
                let parent = (module.origin == Origin::Command, module.path[..common].to_vec());
                let edge = graphs.entry(parent).or_default().entry(from).or_default();
                edge.entry(to).or_insert_with(|| format!("{}:{}", module.file, path.line));
            }
        }
    }
    for ((_, parent), graph) in &graphs {
        findings.pairs += graph.values().map(BTreeMap::len).sum::<usize>();
        for (from, edges) in graph {
            for (to, place) in edges {
                // A cycle is reported once for each of its edges.
                if let Some(way) = way(graph, to, from) {
                    let whole = [&[(*from).to_owned()], way.as_slice()].concat().join(" → ");
                    let within = if parent.is_empty() { "src".to_owned() } else { parent.join("::") };
                    findings.violations.push(format!("{place}: a circle in {within}: {whole}"));
                }
            }
        }
    }
}

/// Returns the shortest path from one module to another.
fn way(graph: &BTreeMap<&str, BTreeMap<&str, String>>, from: &str, to: &str) -> Option<Vec<String>> {
    let mut ways: Vec<Vec<String>> = vec![vec![from.to_owned()]];
    let mut seen: BTreeSet<String> = BTreeSet::from([from.to_owned()]);
    while !ways.is_empty() {
        if let Some(found) = ways.iter().find(|way| way.last().is_some_and(|last| last == to)) {
            return Some(found.clone());
        }
        let mut longer = Vec::new();
        for way in &ways {
            let next = way.last().and_then(|last| graph.get(last.as_str()));
            for name in next.into_iter().flat_map(BTreeMap::keys) {
                if seen.insert((*name).to_owned()) {
                    longer.push([way.as_slice(), &[(*name).to_owned()]].concat());
                }
            }
        }
        ways = longer;
    }
    None
}

/// Returns the room of a module. The room `engine` contains the ports. The room `adapters`
/// contains `engine/postgres`, `engine/sqlite`, and the code that connects to engines and
/// distinguishes them.
fn room(origin: Origin, module: &[String]) -> &str {
    let segments: Vec<&str> = module.iter().map(String::as_str).collect();
    match (origin, segments.as_slice()) {
        (Origin::Library, []) => "lib",
        (Origin::Command, []) => "main",
        (Origin::Library, ["engine", "postgres" | "sqlite", "driver", ..]) => "drivers",
        (Origin::Library, ["engine", "database", ..]) => "drivers",
        (Origin::Library, ["engine", "postgres" | "sqlite" | "dialects", ..]) => "adapters",
        _ => module.first().map_or("", String::as_str),
    }
}

/// Returns the private module that a path such as `bustard::plan::Facts` names.
fn private<'p>(segments: &[&'p str], modules: &[Module]) -> Option<&'p str> {
    let ["bustard", module, ..] = segments else { return None };
    let is_module = modules.iter().any(|m| m.origin == Origin::Library && m.path == [*module]);
    (is_module && !PUBLIC.contains(module)).then_some(*module)
}

/// Returns the names of the package and of its dependencies in code.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let section = manifest.split("\n[dependencies]\n").nth(1).expect("there are dependencies");
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    let names = lines.filter_map(|line| line.split_once(" = ")).map(|(name, _)| name.replace('-', "_"));
    names.chain(["bustard".to_owned()]).collect()
}

fn manifest() -> &'static str {
    include_str!("../Cargo.toml")
}

fn readme() -> &'static str {
    include_str!("../README.md")
}

#[test]
fn modules_keep_to_their_layers() {
    let findings = check(&Sources::read(), manifest(), readme());
    let Findings { files, paths, pairs, violations } = &findings;
    println!("checked {files} files, {paths} paths and {pairs} pairs of modules");
    assert!(*files > 80 && *paths > 1000 && *pairs > 100, "that is not all of src: {findings:?}");
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
}

/// Proves that the checker finds faults. Each fault is put into the real sources, and must
/// be found at its place.
#[test]
fn the_check_finds_seeded_faults() {
    let long = "\n".repeat(LONGEST_FILE);
    let faults: &[(&str, &str, &str)] = &[
        ("error/mod.rs", "use crate::model::Operation;", "error must not use model"),
        ("model/operation/sql.rs", "use crate::{error::Error, plan::Revert};", "model must not use plan"),
        ("plan/mod.rs", "use crate::migrator::{self, Migrator};", "plan must not use migrator"),
        ("plan/mod.rs", "fn f() { super::registry::list(); }", "plan must not use registry"),
        ("graph/mod.rs", "fn f() { vec![crate::source::own()]; }", "graph must not use source"),
        ("source/directory.rs", "use super::super::plan::Facts;", "source must not use plan"),
        ("sql/text.rs", "use crate::model::Engine;", "sql must not use model"),
        ("engine/mod.rs", "use self::sqlite::driver::open;", "engine must not use drivers"),
        ("engine/observer.rs", "use super::dialects::POSTGRES;", "engine must not use adapters"),
        ("engine/sqlite/registry.rs", "use crate::registry;", "adapters must not use registry"),
        ("engine/sqlite/registry.rs", "use super::driver::open;", "adapters must not use drivers"),
        (
            "engine/postgres/roles.rs",
            "use tokio_postgres as p;",
            "adapters must not use the library tokio_postgres",
        ),
        (
            "registry/mod.rs",
            "mod m { use crate::engine::sqlite::driver::open; }",
            "registry must not use drivers",
        ),
        ("registry/mod.rs", "mod m { use super::super::graph::Graph; }", "registry must not use graph"),
        ("registry/mod.rs", "use ::postgres::Client;", "registry must not use the library postgres"),
        ("run/steps.rs", "fn f(_: rusqlite::Connection) {}", "run must not use the library rusqlite"),
        ("run/steps.rs", "use crate::engine::dialects::SQLITE;", "run must not use adapters"),
        (
            "model/app.rs",
            "use refinery_core::traits::sync::Query;",
            "model must not use the library refinery_core",
        ),
        ("cli/mod.rs", "use tokio_postgres as p;", "cli must not use the library tokio_postgres"),
        ("cli/mod.rs", "use toml::Spanned;", "cli must not use the library toml"),
        ("build/mod.rs", "use crate::migrator::Migrator;", "build must not use migrator"),
        ("cli/mod.rs", "use crate::registry;", "cli must not use registry"),
        ("cli/commands/status.rs", "use super::super::super::plan::Facts;", "cli must not use plan"),
        ("cli/commands/status.rs", "use bustard::plan::Facts;", "cli must not use plan, which is not public"),
        ("main.rs", "fn f() { bustard::source::own(); }", "main must not use source, which is not public"),
        ("migrator/mod.rs", "use bustard::cli;", "migrator must not use the library bustard"),
        ("migrator/mod.rs", "use crate::config::Config;", "migrator must not use config"),
        ("store/memory.rs", "use crate::migrator::Migrator;", "store must not use migrator"),
        ("store/redis.rs", "use tokio::net::TcpStream;", "store must not use the library tokio"),
        ("plan/mod.rs", "use std::{fs::File, io};", "plan must not read files"),
        ("lib.rs", "pub fn helper() {}", "docs and re-exports only"),
        // These faults are cycles: at the top level, below it, and through a re-export.
        ("sql/text.rs", "use crate::model::Engine;", "a circle in src: sql → model → sql"),
        ("history/rows.rs", "use super::app_rows::query;", "a circle in history: rows → app_rows → rows"),
        (
            "engine/postgres/driver/target.rs",
            "use super::settings::Environment;",
            "a circle in engine::postgres::driver: target → settings → target",
        ),
        (
            "model/operation/register_cache.rs",
            "use crate::model::OpenTransaction as O; use crate::model::App as A;",
            "a circle in model: operation → app",
        ),
    ];
    let mut sources = Sources::read();
    let seeded: Vec<_> = faults
        .iter()
        .map(|(file, fault, expected)| (*file, *fault, *expected, sources.append(file, fault)))
        .collect();
    sources.append("graph/tests.rs", &long);
    let violations = check(&sources, manifest(), readme()).violations;
    for (file, fault, expected, line) in &seeded {
        let place = format!("{file}:{line}: ");
        // A cycle is reported at the first place that names the other module.
        let found = violations.iter().any(|violation| {
            violation.contains(expected)
                && (violation.starts_with(&place) || expected.starts_with("a circle"))
        });
        assert!(found, "{file}: {fault}: {expected}\n{violations:#?}");
    }
    assert!(violations.iter().any(|v| v.starts_with("graph/tests.rs: ") && v.ends_with("lines")));
    println!("{} seeded faults were found", seeded.len() + 1);
}

#[test]
fn the_check_finds_modules_without_a_room() {
    let mut sources = Sources::read();
    sources.append("lib.rs", "mod helpers;");
    sources.append("helpers.rs", "use crate::error::Error;");
    sources.append("plan/mod.rs", "#[cfg(test)] mod more { use crate::migrator::Migrator; }");
    sources.append("plan/mod.rs", "#[cfg(test)] use rusqlite::Connection;");
    let unused = manifest().replace("\n[dependencies]\n", "\n[dependencies]\nleft-pad = \"1\"\n");
    let rows = "| `graph` | `diagnostic`, `model` |";
    let table = readme().replace(rows, "| `graph`, `nowhere` | `diagnostic`, `model`, `migrator` |");
    assert_ne!(table, readme());
    let violations = check(&sources, &unused, &table).violations;
    // Tests may name anything.
    let expected = [
        "README.md: graph, nowhere may use migrator, which is not below",
        "helpers.rs:1: helpers belongs to no layer",
        "README.md: there is no module nowhere",
        "Cargo.toml: nothing in src names left_pad",
    ];
    assert_eq!(violations, expected);
}
