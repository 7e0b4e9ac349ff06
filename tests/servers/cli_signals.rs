//! Tests Ctrl-C and SIGTERM in the middle of a run.

use crate::support::{Database, Project, Running, send_signal};

/// A migration that runs for much longer than any test waits.
const ENDLESS: &str = "\
CREATE TABLE started (id INTEGER);
CREATE TABLE numbers AS
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000000)
    SELECT count(*) AS number FROM n;
";

/// Starts a run and waits until it is in the middle of its second migration.
fn running(project: &Project) -> Running {
    project
        .file("migrations/V1__first.sql", "CREATE TABLE first (id INTEGER);\n")
        .file("migrations/V2__endless.sql", ENDLESS);
    let running = project.spawn(&["migrate", "-v", "--database-url", "sqlite:app.db"]);
    running.wait_for_stderr("V2__endless");
    running
}

#[test]
fn a_signal_cancels_and_rolls_back() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let project = Project::new();
        let running = running(&project);
        running.signal(signal);
        let outcome = running.wait().exits(code);
        assert!(outcome.stderr.contains("main:V1__first"), "{outcome}");
        let schema = project.sqlite_schema("app.db");
        assert!(schema.contains("table first "), "{schema}");
        assert!(!schema.contains("table started "), "{schema}");
        // Nothing blocks the next run.
        project.file("migrations/V2__endless.sql", "CREATE TABLE short (id INTEGER);\n");
        project.bustard(&["migrate", "--database-url", "sqlite:app.db"]).success().says("V2__endless");
    }
}

#[test]
fn a_cancelled_run_says_so_in_json() {
    let project = Project::new();
    project
        .file("migrations/V1__first.sql", "CREATE TABLE first (id INTEGER);\n")
        .file("migrations/V2__endless.sql", ENDLESS);
    let running = project.spawn(&["migrate", "-v", "--json", "--database-url", "sqlite:app.db"]);
    running.wait_for_stderr("V2__endless");
    running.signal("INT");
    let error = running.wait().exits(130).json()["error"].clone();
    assert_eq!(error["kind"], "cancelled");
    assert_eq!(error["applied"], serde_json::json!(["bustard:V1__registry", "main:V1__first"]));
}

#[test]
fn on_postgres_as_well() {
    let database = Database::new();
    let project = Project::new();
    project
        .file("migrations/V1__first.sql", "CREATE TABLE first (id INTEGER);\n")
        .file("migrations/V2__endless.sql", "CREATE TABLE started (id INTEGER);\nSELECT pg_sleep(3600);\n");
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let running = project.spawn(&["migrate", "--database-url", &database.url()]);
        database.wait_until(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database())",
        );
        running.signal(signal);
        let outcome = running.wait().exits(code);
        assert!(outcome.stderr.contains("V2__endless"), "{outcome}");
        assert_eq!(database.value("SELECT to_regclass('first') IS NOT NULL"), "t");
        assert_eq!(database.value("SELECT to_regclass('started') IS NULL"), "t");
    }
    project.file("migrations/V2__endless.sql", "CREATE TABLE short (id INTEGER);\n");
    project.bustard(&["migrate", "--database-url", &database.url()]).success().says("V2__endless");
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    let database = Database::new();
    let project = Project::new();
    project.file("migrations/V1__endless.sql", "SELECT pg_sleep(3600);\n");
    let running = project.spawn(&["migrate", "--database-url", &database.url()]);
    let sleeping = "FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()";
    database.wait_until(&format!("SELECT EXISTS (SELECT {sleeping})"));
    let backend = database.value(&format!("SELECT pid {sleeping}")).parse().expect("a pid is a number");
    // The server does not react to the cancel request.
    send_signal(backend, "STOP");
    running.signal("TERM");
    running.wait_for_stderr("interrupted");
    running.signal("INT");
    let outcome = running.wait();
    send_signal(backend, "CONT");
    outcome.exits(130);
}

/// A cancel request may have no effect, for example between two statements.
#[test]
fn a_cancel_request_without_effect_is_repeated() {
    let database = Database::new();
    let project = Project::new();
    project.file(
        "migrations/V1__stubborn.sql",
        "DO $$ BEGIN PERFORM pg_sleep(3600);
         EXCEPTION WHEN query_canceled THEN PERFORM pg_sleep(3600); END $$;\n",
    );
    let running = project.spawn(&["migrate", "--database-url", &database.url()]);
    database.wait_until(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database())",
    );
    running.signal("TERM");
    let outcome = running.wait().exits(143);
    assert!(outcome.stderr.contains("V1__stubborn"), "{outcome}");
}

/// Commands on caches wait for locks outside runs.
#[test]
fn a_command_on_caches_that_waits() {
    let database = Database::new();
    let project = Project::new();
    let url = database.url();
    project.file("migrations/V1__a.sql", "-- bustard: register cache a\nSELECT 1;\n");
    project.bustard(&["migrate", "--database-url", &url]).success();
    let mut other = database.client();
    other.batch_execute("BEGIN; LOCK TABLE bustard.event, bustard.base, bustard.cache").expect("it is free");
    let waiting = "SELECT count(*) > 0 FROM pg_stat_activity \
                   WHERE wait_event_type = 'Lock' AND datname = current_database()";
    for command in [&["caches", "invalidate", "a"][..], &["caches", "list"], &["caches", "watch"]] {
        for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
            let running = project.spawn(&[command, &["--database-url", &url]].concat());
            database.wait_until(waiting);
            running.signal(signal);
            running.wait().exits(code);
            // A poll that was cut off may still wait for its lock.
            database.psql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE wait_event_type = 'Lock' AND datname = current_database()",
            );
            database.wait_until(&format!("SELECT NOT ({waiting})"));
        }
    }
}
