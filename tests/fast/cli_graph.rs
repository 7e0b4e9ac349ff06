//! Tests `bustard graph`.

use std::collections::BTreeSet;

use crate::support::{Outcome, Project, snapshot_settings, transcript};

const FORMATS: [&str; 3] = ["text", "mermaid", "dot"];

#[track_caller]
fn graph(project: &Project, options: &[&str]) -> Outcome {
    let url = ["graph", "--database-url", "sqlite:not-there.db"];
    let outcome = project.bustard(&[&url, options].concat());
    assert!(!project.path().join("not-there.db").exists());
    outcome
}

#[track_caller]
fn snapshot(project: &Project, name: &str, outcome: &Outcome) {
    snapshot_settings(project)
        .bind(|| insta::assert_snapshot!(name, transcript(std::slice::from_ref(outcome))));
}

/// Creates apps that together have every element of a graph. The configuration lists them
/// in the given order.
fn project(order: &[&str]) -> Project {
    let project = Project::new();
    let apps: Vec<String> = (order.iter())
        .map(|label| format!("[[apps]]\nlabel = \"{label}\"\nmigrations = \"{label}\"\n"))
        .collect();
    project
        .config(&apps.concat())
        .file("core/V1__a.sql", "CREATE TABLE a (id INTEGER);\n")
        .file("core/V2__b.sql", "CREATE TABLE b (id INTEGER);\n")
        .file("core/V3__c.sql", "CREATE TABLE c (id INTEGER);\n")
        .file("core/U4__überraschung_名前.sql", "CREATE TABLE d (id INTEGER);\n")
        .file("empty/V1__e.postgres.sql", "SELECT 1;\n")
        .file(
            "plugin/V1__p.sql",
            "-- bustard: depends on core V2\n-- bustard: depends on bustard V1\nSELECT 1;\n",
        )
        .file(
            "plugin/V2__q.sql",
            "SELECT 1;\n\n-- bustard: required by core 4\n-- bustard: depends on plugin V1\n",
        )
        .file("end/V7__z.sql", "-- bustard: depends on core\n-- bustard: depends on empty\nSELECT 1;\n");
    project
}

const APPS: [&str; 4] = ["core", "empty", "plugin", "end"];

#[test]
fn the_forum() {
    let project = Project::forum();
    for format in FORMATS {
        let options = ["--config", "examples/forum/bustard.toml", "--format", format];
        snapshot(&project, &format!("forum_{format}"), &graph(&project, &options).success());
    }
    let json = graph(&project, &["--config", "examples/forum/bustard.toml", "--json"]).success();
    snapshot(&project, "forum_json", &json);
}

#[test]
fn a_graph_with_elements_of_every_kind() {
    let project = project(&APPS);
    let formats = FORMATS.map(|format| graph(&project, &["--format", format]).success().stdout);
    snapshot_settings(&project).bind(|| insta::assert_snapshot!("everything", formats.join("=====\n")));
    assert_eq!(graph(&project, &[]).success().stdout, formats[0]);

    let document = graph(&project, &["--json"]).success().json();
    assert_eq!(document["engine"], "sqlite");
    assert_eq!(document["apps"], serde_json::json!(["core", "empty", "end", "plugin"]));
    let edges = document["edges"].as_array().expect("edges are a list");
    let asked: Vec<_> = edges.iter().map(|edge| edge["asked"].as_str().expect("it is text")).collect();
    assert_eq!(asked, ["depends_on", "depends_on", "required_by", "depends_on_app"]);
    assert_eq!((&edges[2]["file"], &edges[2]["line"]), (&"plugin/V2__q.sql".into(), &3.into()));
}

/// Neither the order of the apps nor the order of a hash map affects the output.
#[test]
fn the_order_of_apps_changes_nothing() {
    let mut others = APPS;
    others.reverse();
    for options in [&["--format", "text"][..], &["--format", "mermaid"], &["--format", "dot"], &["--json"]] {
        let shown = [&APPS, &others].map(|order| graph(&project(order), options).success().stdout);
        assert_eq!(shown[0], shown[1], "{options:?}");
    }
}

/// Checks that every line has a known form, that names are quoted, and that every box is
/// drawn before an arrow leads to it.
#[test]
fn diagrams_are_well_formed() {
    let forms = [
        (
            "mermaid",
            &["flowchart LR", "subgraph app0[\"\"]", "m0[\"\"]", "m0 -.-> m0", "m0 --> m0", "end"][..],
        ),
        (
            "dot",
            &[
                "digraph migrations {",
                "rankdir = LR;",
                "node [shape = box];",
                "subgraph cluster_0 {",
                "label = \"\";",
                "m0 [label = \"\"];",
                "m0 -> m0 [style = dotted];",
                "m0 -> m0;",
                "}",
            ],
        ),
    ];
    let (project, forum) = (project(&APPS), Project::forum());
    for (format, forms) in forms {
        for text in [
            graph(&project, &["--format", format]).success().stdout,
            graph(&forum, &["--config", "examples/forum/bustard.toml", "--format", format]).success().stdout,
        ] {
            assert_eq!(misfits(&text, forms), Vec::<String>::new(), "{text}");
        }
    }
    // The check finds a seeded fault.
    let (_, forms) = forms[0];
    assert_eq!(misfits("m1[\"a\"b\"]\n", forms).len(), 1);
    assert_eq!(misfits("m1[\"a\"]\nm1 --> m2\n", forms), ["m2 has no box"]);
}

fn misfits(text: &str, forms: &[&str]) -> Vec<String> {
    let mut misfits = Vec::new();
    let mut boxes = BTreeSet::new();
    for line in text.lines().map(str::trim) {
        let unquoted: Vec<&str> = line.split('"').step_by(2).collect();
        let mut form = String::new();
        for c in unquoted.join("\"\"").chars() {
            match c {
                '1'..='9' if form.ends_with('0') => {}
                '0' if form.ends_with('0') => {}
                '0'..='9' => form.push('0'),
                c => form.push(c),
            }
        }
        if !forms.contains(&form.as_str()) {
            misfits.push(line.to_owned());
        }
        let ends = unquoted[0].split(' ').filter(|word| word.starts_with('m') && !word.starts_with("mi"));
        let ends = ends.map(|word| word.trim_end_matches(['[', ';']).to_owned());
        if line.contains("> m") {
            misfits.extend(ends.filter(|end| !boxes.contains(end)).map(|end| format!("{end} has no box")));
        } else {
            boxes.extend(ends);
        }
    }
    misfits
}

/// The text for thirty apps has a line for each app, and a line for each dependency.
#[test]
fn thirty_apps() {
    let project = Project::new();
    let mut config = String::new();
    for app in 1..=30 {
        config += &format!("[[apps]]\nlabel = \"app{app}\"\nmigrations = \"app{app}\"\n");
        for version in 1..=10 {
            let asks = app % 3 == 0 && version == 4;
            let asks =
                if asks { format!("-- bustard: depends on app{} V2\n", app - 1) } else { String::new() };
            project.file(format!("app{app}/V{version}__m{version}.sql"), asks + "SELECT 1;\n");
        }
    }
    project.config(&config);
    let text = graph(&project, &[]).success();
    assert_eq!(text.stdout.lines().count(), 1 + 30 + 1 + 1 + 10, "{text}");
    snapshot(&project, "thirty", &text);
    // An app with a dependency or a dependant has at most three boxes, and any other app
    // has one.
    let mermaid = graph(&project, &["--format", "mermaid"]).success().stdout;
    assert_eq!(
        mermaid.lines().filter(|line| line.contains("    m") && line.contains('[')).count(),
        10 * (3 + 3 + 1)
    );
}

#[test]
fn the_engine_comes_from_the_url_without_a_connection() {
    let project = Project::new();
    project.file("migrations/V1__a.sql", "SELECT 1;\n").file("migrations/V2__b.postgres.sql", "SELECT 1;\n");
    // No server listens on port 1.
    let server = project.bustard(&["graph", "--database-url", "postgres://me@127.0.0.1:1/none"]).success();
    assert_eq!(server.stdout, "app   migrations     depends on\nmain  V1__a … V2__b\n");
    assert_eq!(graph(&project, &[]).success().stdout, "app   migrations  depends on\nmain  V1__a\n");
    let no_url = project.bustard(&["graph"]).exits(2);
    assert!(no_url.stderr.contains("no database was named"), "{no_url}");
}

#[test]
fn diagnostics_of_sources_are_reported_as_by_other_commands() {
    let project = project(&APPS);
    project
        .file("core/V2__b.sql", "-- bustard: depends on plugin V1\nCREATE TABLE b (id INTEGER);\n")
        .file("end/V7__z.sql", "-- bustard: depends on cora V1\nSELECT 1;\n");
    let outcome = graph(&project, &["--format", "dot"]).exits(2);
    assert_eq!(outcome.stdout, "");
    snapshot(&project, "wrong", &outcome);
    let document = graph(&project, &["--json"]).exits(2).json();
    assert_eq!(document["error"]["kind"], "source");
    graph(&project, &["--format", "svg"]).exits(2).complains("text, mermaid, dot");
}
