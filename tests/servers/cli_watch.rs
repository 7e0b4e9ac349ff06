//! Tests `bustard caches watch`.

use crate::support::{Engine, Project, Subject};
use serde_json::Value;

const V1: &str = "-- bustard: register cache bans\nCREATE TABLE bans (id INTEGER);\n";

fn watched(project: &Project, engine: Engine) -> Subject<'_> {
    project.file("migrations/V1__bans.sql", V1);
    let subject = Subject::new(engine, project);
    subject.bustard(&["migrate"]).success();
    subject
}

/// Parses the lines of the output, each of which must be a JSON document.
fn documents(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

#[test]
fn every_change_is_one_line_with_time_and_count() {
    for engine in [Engine::Postgres, Engine::Sqlite] {
        let project = Project::new();
        let subject = watched(&project, engine);
        let before = subject.bustard(&["caches", "get", "bans"]).success().stdout;
        let watch = subject.spawn(&["caches", "watch", "--json"]);
        watch.wait_for_stdout("watching");
        subject.bustard(&["caches", "invalidate", "bans"]).success();
        watch.wait_for_stdout("changed");
        subject.bustard(&["caches", "register", "ranks"]).success();
        watch.wait_for_stdout("\"registered\"");
        subject.bustard(&["caches", "unregister", "ranks", "--force"]).success();
        watch.wait_for_stdout("unregistered");
        watch.signal("INT");
        let documents = documents(&watch.wait().exits(130).stdout);

        let events: Vec<_> = documents.iter().map(|document| document["event"].as_str().unwrap()).collect();
        assert_eq!(events, ["watching", "changed", "registered", "unregistered"], "{engine:?}");
        let changed = &documents[1];
        assert_eq!((changed["cache"].as_str(), changed["by"].as_i64()), (Some("bans"), Some(1)));
        assert!(before.contains(changed["before"].as_str().unwrap()), "{before}: {changed}");
        let after = subject.bustard(&["caches", "get", "bans"]).success().stdout;
        assert!(after.contains(changed["after"].as_str().unwrap()), "{after}: {changed}");
        for document in &documents {
            humantime::parse_rfc3339(document["at"].as_str().unwrap()).unwrap();
        }
    }
}

#[test]
fn the_text_form_lists_changes() {
    let project = Project::new();
    let subject = watched(&project, Engine::Postgres);
    let watch = subject.spawn(&["caches", "watch"]);
    watch.wait_for_stdout("watching 1 cache; press Ctrl-C to stop");
    // Both invalidations are in one transaction, so they are one line.
    subject.execute("BEGIN; SELECT bustard.invalidate('bans'); SELECT bustard.invalidate_all(); COMMIT");
    watch.wait_for_stdout("  bans  +2  ");
    watch.signal("TERM");
    watch.wait().exits(143).says("database: PostgreSQL");
}

#[test]
fn watch_ends_when_its_output_is_closed() {
    let project = Project::new();
    let subject = watched(&project, Engine::Sqlite);
    let mut watch = subject.command(&["caches", "watch", "--json"]);
    let mut child = watch.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut reader = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut reader, &mut String::new()).unwrap();
    drop(reader);
    crate::support::wait_until("the command ends", || {
        subject.bustard(&["caches", "invalidate", "bans"]).success();
        child.try_wait().unwrap().is_some()
    });
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn without_a_registry_watch_fails_with_advice() {
    let project = Project::new();
    project.file("migrations/V1__bans.sql", V1).file("app.db", "");
    let outcome = project.bustard(&["caches", "watch", "--database-url", "sqlite:app.db"]).exits(1);
    outcome.complains("run `bustard migrate`");
}
