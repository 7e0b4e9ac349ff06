//! Tests Ctrl-C and SIGTERM at any stage of a run: in a statement, waiting for the
//! lock, connecting. The run is rolled back, the exit code names the signal, and
//! nothing blocks the next run.

use std::io::Read;
use std::net::TcpListener;

use crate::support::{Outcome, Project, Running, Scene};

const SIGNALS: [(&str, i32); 2] = [("INT", 130), ("TERM", 143)];

/// A query that returns whether the server executes a statement of the run.
const SLEEPING: &str = "SELECT count(*) = 1 FROM pg_stat_activity \
    WHERE wait_event = 'PgSleep' AND state = 'active' AND datname = current_database()";

/// A query that returns whether no other session is connected.
const ALONE: &str = "SELECT count(*) = 1 FROM pg_stat_activity \
    WHERE backend_type = 'client backend' AND datname = current_database()";

/// Returns a statement that runs for much longer than any test waits.
fn endless(scene: &Scene) -> &'static str {
    match scene.is_postgres() {
        true => "CREATE TABLE started (id INTEGER);\nSELECT pg_sleep(3600);\n",
        false => {
            "CREATE TABLE started (id INTEGER);\n\
             CREATE TABLE numbers AS\n    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000000)\n\
             \x20   SELECT count(*) AS number FROM n;\n"
        }
    }
}

/// Starts `migrate`. With `-v`, its output tells which migration is running.
fn start(scene: &Scene, arguments: &[&str]) -> Running {
    let url = scene.url();
    scene.project.spawn(&[&["migrate", "-v", "--database-url", &url], arguments].concat())
}

fn in_the_statement(scene: &Scene, running: &Running) {
    match scene.is_postgres() {
        true => scene.database().wait_until(SLEEPING),
        false => running.wait_for_stderr("V3__bad"),
    }
}

#[test]
fn in_the_middle_of_a_statement() {
    for scene in Scene::both() {
        scene.bad_file(endless(&scene));
        let before = scene.contents();
        for (signal, code) in SIGNALS {
            let running = start(&scene, &["--transaction", "all"]);
            in_the_statement(&scene, &running);
            running.signal(signal);
            let outcome = running.wait().exits(code).complains("nothing was changed");
            assert_eq!(scene.contents(), before, "{outcome}");
            if scene.is_postgres() {
                scene.database().wait_until(ALONE);
            }
        }
        for (signal, code) in SIGNALS {
            let running = start(&scene, &["--json"]);
            in_the_statement(&scene, &running);
            running.signal(signal);
            let outcome = running.wait().exits(code);
            let error = &outcome.json()["error"];
            assert_eq!(error["kind"], "cancelled", "{outcome}");
            assert_eq!(error["migration"], "V3__bad", "{outcome}");
            assert_eq!(scene.applied(), "1,2");
            assert!(!scene.contents().contains("started"), "{outcome}");
        }
        scene.file("V3__bad.sql", "CREATE TABLE short (id INTEGER);\n");
        scene.migrate(&[]).success();
        assert_eq!(scene.applied(), "1,2,3,4");
    }
}

#[test]
fn while_waiting_for_the_lock() {
    let scene = Scene::postgres();
    scene.bad_file(endless(&scene));
    let holder = start(&scene, &[]);
    scene.database().wait_until(SLEEPING);
    for (signal, code) in SIGNALS {
        let waiting = start(&scene, &[]);
        waiting.wait_for_stderr("waiting");
        waiting.signal(signal);
        waiting.wait().exits(code).complains("nothing was changed");
    }
    holder.signal("INT");
    holder.wait().exits(130);
    scene.file("V3__bad.sql", "CREATE TABLE short (id INTEGER);\n").migrate(&[]).success();
    assert_eq!(scene.applied(), "1,2,3,4");

    let scene = Scene::sqlite();
    scene.good_files().migrate(&["--to", "main:1"]).success();
    let writer = scene.project.sqlite("app.db");
    writer.execute_batch("BEGIN IMMEDIATE").expect("no other session writes");
    for (signal, code) in SIGNALS {
        let waiting = start(&scene, &[]);
        waiting.wait_for_stderr("waiting");
        waiting.signal(signal);
        waiting.wait().exits(code).complains("nothing was changed");
    }
    writer.execute_batch("COMMIT").expect("it commits");
    scene.migrate(&[]).success();
    assert_eq!(scene.applied(), "1,2");
}

/// The server ends the connection, and the error contains the reason that the server gave.
#[test]
fn terminated_by_the_server() {
    let scene = Scene::postgres();
    scene.bad_file(endless(&scene));
    let running = scene.project.spawn(&["migrate", "--database-url", &scene.url()]);
    scene.database().wait_until(SLEEPING);
    scene.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE wait_event = 'PgSleep' AND datname = current_database()",
    );
    let outcome = running.wait().exits(1);
    scene.snapshot("thrown_out", &outcome);
    assert_eq!(scene.applied(), "1,2");
}

/// The server accepts connections and never answers.
#[test]
fn while_connecting() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let project = Project::new();
    project.file("migrations/V1__one.sql", "CREATE TABLE one (id INTEGER);\n");
    let url = format!("postgres://app@{}/forum?sslmode=disable", silent.local_addr().expect("it is bound"));
    for (signal, code) in SIGNALS {
        let running = project.spawn(&["migrate", "--database-url", &url]);
        let (mut connection, _) = silent.accept().expect("the run connects");
        connection.read_exact(&mut [0; 8]).expect("it says hello");
        running.signal(signal);
        let outcome: Outcome = running.wait().exits(code);
        assert!(!outcome.stderr.contains("panicked"), "{outcome}");
    }
}
