//! Holds `src/` to the layers that the README describes: who may name whom,
//! who may name which library, who may read files, how long a file may be.
//!
//! Modules are read as the compiler reads them, from `lib.rs` and `main.rs`
//! along their `mod` items, without what is `#[cfg(test)]`. Each path in them
//! is resolved to the module or the library that it leads into.

mod source_paths;

use std::collections::BTreeSet;

use source_paths::{Module, Origin, Sources};

const LONGEST_FILE: usize = 500;

/// Parts of the package with what they may name beside one another: other
/// parts, and libraries. `std` is for everybody.
struct Layer {
    parts: &'static [&'static str],
    may_use: &'static [&'static str],
    libraries: &'static [&'static str],
}

const ZERO: &[&str] = &["error", "failpoint", "version"];
const ONE: &[&str] = &["operation", "migration", "app", "embedded", "history", "installed", "ports"];

/// From below. `ports` is `engine/mod.rs`, `adapters` is what lies beneath it;
/// every part above layer 1 may use layers 0 and 1 as well.
const LAYERS: &[Layer] = &[
    Layer { parts: ZERO, may_use: &[], libraries: &["strsim"] },
    Layer { parts: ONE, may_use: ZERO, libraries: &["sea_query", "siphasher"] },
    Layer { parts: &["source"], may_use: &[], libraries: &["sqlparser"] },
    Layer { parts: &["build"], may_use: &["source"], libraries: &[] },
    Layer { parts: &["graph"], may_use: &[], libraries: &["petgraph"] },
    Layer { parts: &["plan"], may_use: &["graph"], libraries: &[] },
    Layer { parts: &["catalog"], may_use: &[], libraries: &["sea_query"] },
    Layer { parts: &["registry"], may_use: &[], libraries: &["log", "sea_query"] },
    Layer {
        parts: &["adapters"],
        may_use: &[],
        libraries: &[
            "futures_util",
            "log",
            "postgres",
            "refinery_core",
            "rusqlite",
            "rustls",
            "rustls_native_certs",
            "thiserror",
            "time",
            "tokio",
            "tokio_postgres",
            "tokio_postgres_rustls",
        ],
    },
    Layer {
        parts: &["migrator"],
        may_use: &["source", "graph", "plan", "catalog", "registry", "adapters"],
        libraries: &["log", "tokio"],
    },
    Layer {
        parts: &["buster"],
        may_use: &["registry", "store", "adapters"],
        libraries: &["arc_swap", "event_listener", "log", "serde", "serde_json", "tokio"],
    },
    Layer {
        parts: &["store"],
        may_use: &["registry"],
        libraries: &["humantime", "log", "moka", "redis", "serde", "siphasher", "socket2"],
    },
    Layer {
        parts: &["config"],
        may_use: &["adapters", "migrator", "buster", "store"],
        libraries: &["dotenvy", "humantime", "serde", "toml"],
    },
    Layer { parts: &["testing"], may_use: &["source", "plan", "registry", "migrator"], libraries: &[] },
    // The command: the library's public API, to which tests/cli_public.rs holds
    // it, and what makes a command of it.
    Layer {
        parts: &["main", "cli"],
        may_use: &[],
        libraries: &[
            "anstream",
            "bustard",
            "clap",
            "comfy_table",
            "env_logger",
            "humantime",
            "indicatif",
            "log",
            "serde",
            "serde_json",
            "signal_hook",
            "strsim",
            "time",
        ],
    },
];

/// Types of libraries that are the point where they are named: a connection's
/// open transaction for a function, and migrations that refinery has loaded.
const HANDED_OVER: &[(&str, &[&str])] = &[
    ("ports", &["postgres", "Transaction"]),
    ("ports", &["rusqlite", "Connection"]),
    ("app", &["refinery_core", "Migration"]),
    ("testing", &["rusqlite", "Connection"]),
    ("source", &["refinery_core", "Migration"]),
];

/// The modules that users of the library may name.
const PUBLIC: &[&str] = &["build", "cli", "config", "registry", "testing"];

const FILE_READERS: &[&str] = &["source", "build", "adapters", "config", "main", "cli"];

#[derive(Debug, Default)]
struct Findings {
    files: usize,
    paths: usize,
    violations: Vec<String>,
}

/// Checks everything.
fn check(sources: &Sources, manifest: &str) -> Findings {
    let libraries = dependencies(manifest);
    let mut findings = Findings::default();
    let mut named = BTreeSet::new();
    let modules = sources.modules();
    for module in &modules {
        findings.files += 1;
        if module.lines > LONGEST_FILE {
            findings.violations.push(format!("{}: {} lines", module.file, module.lines));
        }
        if module.production {
            check_module(module, &modules, &libraries, &mut named, &mut findings);
        }
    }
    for library in libraries.difference(&named).filter(|library| *library != "bustard") {
        findings.violations.push(format!("Cargo.toml: nothing in src names {library}"));
    }
    findings
}

fn check_module(
    module: &Module,
    modules: &[Module],
    libraries: &BTreeSet<String>,
    named: &mut BTreeSet<String>,
    findings: &mut Findings,
) {
    let mut complain = |line: usize, what: String| {
        findings.violations.push(format!("{}:{line}: {what}", module.file));
    };
    let part = part(module.origin, &module.path);
    let layer = LAYERS.iter().find(|layer| layer.parts.contains(&part));
    if layer.is_none() && part != "lib" {
        complain(1, format!("{part} belongs to no layer"));
    }
    for (line, word) in &module.items {
        if part == "lib" {
            complain(*line, format!("lib.rs has docs and re-exports only, not `{word}`"));
        }
    }
    for path in &module.paths {
        findings.paths += 1;
        let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
        let line = path.line;
        if let Some(target) = module.resolve(modules, path) {
            let target = self::part(module.origin, target);
            let may = layer.is_none_or(|layer| {
                layer.parts.contains(&target)
                    || layer.may_use.contains(&target)
                    || (!ZERO.contains(&part) && (ZERO.contains(&target) || ONE.contains(&target)))
            });
            if !may && part != target {
                complain(line, format!("{part} must not use {target}"));
            }
        } else if let Some(private) = private(&segments, modules) {
            complain(line, format!("{part} must not use {private}, which is not public"));
        } else if libraries.contains(segments[0]) {
            named.insert(segments[0].to_owned());
            let handed_over = HANDED_OVER.iter().any(|(p, path)| *p == part && segments.starts_with(path));
            if !handed_over && layer.is_some_and(|layer| !layer.libraries.contains(&segments[0])) {
                complain(line, format!("{part} must not use the library {}", segments[0]));
            }
        } else if segments.starts_with(&["std", "fs"]) && !FILE_READERS.contains(&part) {
            complain(line, format!("{part} must not read files"));
        }
    }
}

/// The part of the package that a module belongs to.
fn part(origin: Origin, module: &[String]) -> &str {
    let segments: Vec<&str> = module.iter().map(String::as_str).collect();
    match (origin, segments.as_slice()) {
        (Origin::Library, []) => "lib",
        (Origin::Command, []) => "main",
        (Origin::Library, ["engine"] | ["engine", "observer"]) => "ports",
        (Origin::Library, ["engine", ..]) => "adapters",
        _ => module.first().map_or("", String::as_str),
    }
}

/// The module that a path such as `bustard::plan::Facts` names and that is not
/// part of the public API.
fn private<'p>(segments: &[&'p str], modules: &[Module]) -> Option<&'p str> {
    let ["bustard", module, ..] = segments else { return None };
    let is_module = modules.iter().any(|m| m.origin == Origin::Library && m.path == [*module]);
    (is_module && !PUBLIC.contains(module)).then_some(*module)
}

/// The names by which code knows the package and what it depends on.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let section = manifest.split("\n[dependencies]\n").nth(1).expect("there are dependencies");
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    let names = lines.filter_map(|line| line.split_once(" = ")).map(|(name, _)| name.replace('-', "_"));
    names.chain(["bustard".to_owned()]).collect()
}

fn manifest() -> &'static str {
    include_str!("../Cargo.toml")
}

#[test]
fn modules_keep_to_their_layers() {
    let findings = check(&Sources::read(), manifest());
    let Findings { files, paths, violations } = &findings;
    println!("checked {files} files and {paths} paths");
    assert!(*files > 80 && *paths > 1000, "that is not all of src: {files} files, {paths} paths");
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
}

/// The checker sees what it is there for: each fault is put into the real
/// sources, and must be found where it is.
#[test]
fn the_check_finds_seeded_faults() {
    for (file, fault, expected) in [
        ("error.rs", "use crate::operation::Operation;", "error must not use operation"),
        ("operation/sql.rs", "use crate::{error::Place, plan::Revert};", "operation must not use plan"),
        ("plan.rs", "use crate::migrator::{self, Report};", "plan must not use migrator"),
        ("plan.rs", "fn f() { super::registry::list(); }", "plan must not use registry"),
        ("graph.rs", "fn f() { vec![crate::source::own()]; }", "graph must not use source"),
        ("source/check.rs", "use super::super::plan::Facts;", "source must not use plan"),
        ("engine/mod.rs", "use self::sqlite::open;", "ports must not use adapters"),
        ("engine/sqlite/session.rs", "use crate::registry;", "adapters must not use registry"),
        ("registry/mod.rs", "mod m { use crate::engine::sqlite::open; }", "registry must not use adapters"),
        ("registry/mod.rs", "mod m { use super::super::graph::Graph; }", "registry must not use graph"),
        ("registry/mod.rs", "use ::postgres::Client;", "registry must not use the library postgres"),
        (
            "migrator/apply.rs",
            "fn f(_: rusqlite::Connection) {}",
            "migrator must not use the library rusqlite",
        ),
        ("app.rs", "use refinery_core::traits::sync::Query;", "app must not use the library refinery_core"),
        ("cli/mod.rs", "use tokio_postgres as p;", "cli must not use the library tokio_postgres"),
        ("cli/mod.rs", "use toml::Spanned;", "cli must not use the library toml"),
        ("build/mod.rs", "use crate::migrator::Migrator;", "build must not use migrator"),
        ("cli/mod.rs", "use crate::registry;", "cli must not use registry"),
        ("cli/commands/status.rs", "use super::super::super::plan::Facts;", "cli must not use plan"),
        ("cli/commands/status.rs", "use bustard::plan::Facts;", "cli must not use plan, which is not public"),
        ("main.rs", "fn f() { bustard::source::own(); }", "main must not use source, which is not public"),
        ("migrator/mod.rs", "use bustard::cli;", "migrator must not use the library bustard"),
        ("config/url.rs", "use crate::registry;", "config must not use registry"),
        ("migrator/mod.rs", "use crate::config::Config;", "migrator must not use config"),
        ("catalog.rs", "use crate::source::Effects;", "catalog must not use source"),
        ("store/memory.rs", "use crate::migrator::Report;", "store must not use migrator"),
        ("store/redis.rs", "use tokio::net::TcpStream;", "store must not use the library tokio"),
        ("plan.rs", "use std::{fs::File, io};", "plan must not read files"),
        ("lib.rs", "pub fn helper() {}", "docs and re-exports only"),
        ("graph.rs", &"\n".repeat(LONGEST_FILE), "graph.rs: "),
    ] {
        let mut sources = Sources::read();
        let line = sources.append(file, fault);
        let violations = check(&sources, manifest()).violations;
        let found = violations.iter().any(|v| {
            v.starts_with(file)
                && v.contains(expected)
                && (v.contains(&format!(":{line}:")) || v.ends_with("lines"))
        });
        assert!(
            found || violations.iter().any(|v| v.starts_with(expected)),
            "{file}: {fault}\n{violations:?}"
        );
    }

    let mut sources = Sources::read();
    sources.append("lib.rs", "mod helpers;");
    sources.append("helpers.rs", "use crate::error::Error;");
    let violations = check(&sources, manifest()).violations;
    assert_eq!(violations, ["helpers.rs:1: helpers belongs to no layer"]);

    let unused = manifest().replace("\n[dependencies]\n", "\n[dependencies]\nleft-pad = \"1\"\n");
    let violations = check(&Sources::read(), &unused).violations;
    assert_eq!(violations, ["Cargo.toml: nothing in src names left_pad"]);
}

#[test]
fn tests_may_name_anything() {
    let mut sources = Sources::read();
    sources.append("plan.rs", "#[cfg(test)] mod more { use crate::migrator::Report; }");
    sources.append("plan.rs", "#[cfg(test)] use rusqlite::Connection;");
    assert!(check(&sources, manifest()).violations.is_empty());
}
