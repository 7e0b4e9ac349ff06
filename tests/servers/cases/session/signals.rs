//! A13: signals in every state, and clients that die.

use std::net::TcpListener;

use crate::support::proxy::Proxy;
use crate::support::{Database, LOCK, Project, Running};

const SIGNALS: [(&str, i32); 3] = [("HUP", 129), ("INT", 130), ("TERM", 143)];

const SLEEPING: &str = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database())";

fn sleeping_project() -> Project {
    let project = Project::new();
    project.file("migrations/V1__slow.sql", "CREATE TABLE started (id INTEGER);\nSELECT pg_sleep(3600);\n");
    project
}

fn migrating(project: &Project, url: &str) -> Running {
    project.spawn(&["migrate", "--database-url", url])
}

#[test]
fn a13_while_connecting() {
    // The system accepts connections, and no one answers.
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let url = format!("postgres://u@{}/d?connect_timeout=0", listener.local_addr().expect("it is bound"));
    for (signal, code) in SIGNALS {
        let project = sleeping_project();
        let running = migrating(&project, &url);
        let connection = listener.accept().expect("it connects");
        running.signal(signal);
        running.wait().exits(code);
        drop(connection);
    }
}

#[test]
fn a13_while_waiting_for_a_lock() {
    let database = Database::new();
    let project = sleeping_project();
    let mut holder = database.client();
    holder.batch_execute(&format!("SELECT pg_advisory_lock({LOCK})")).expect("it is free");
    for (signal, code) in SIGNALS {
        let running = migrating(&project, &database.url());
        running.wait_for_stderr("waiting for the migration lock");
        running.signal(signal);
        running.wait().exits(code);
    }
    let project = Project::new();
    project.file("migrations/V1__a.sql", "CREATE TABLE a (id INTEGER);\n");
    let other = project.sqlite("app.db");
    other.execute_batch("BEGIN IMMEDIATE").expect("it is free");
    for (signal, code) in SIGNALS {
        let running = migrating(&project, "sqlite:app.db");
        running.wait_for_stderr("waiting for the migration lock");
        running.signal(signal);
        running.wait().exits(code);
    }
}

#[test]
fn a13_while_a_migration_runs() {
    let database = Database::new();
    let project = sleeping_project();
    let endless = Project::new();
    endless.file(
        "migrations/V1__endless.sql",
        "CREATE TABLE numbers AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000000)
         SELECT count(*) AS number FROM n;\n",
    );
    for (signal, code) in SIGNALS {
        let running = migrating(&project, &database.url());
        database.wait_until(SLEEPING);
        running.signal(signal);
        running.wait().exits(code);
        assert_eq!(database.value("SELECT to_regclass('started') IS NULL"), "t");
        assert_eq!(database.value(SLEEPING), "f");

        let running = endless.spawn(&["migrate", "-v", "--database-url", "sqlite:app.db"]);
        running.wait_for_stderr("V1__endless");
        running.signal(signal);
        running.wait().exits(code);
        assert!(!endless.sqlite_schema("app.db").contains("numbers"));
    }
}

#[test]
fn a13_while_confirming() {
    let project = Project::new();
    project.config(
        "[database]\nurl = \"sqlite:app.db\"\n[[apps]]\nlabel = \"bans\"\nmigrations = \"migrations\"\n",
    );
    project.file(
        "migrations/V1__bans.sql",
        "CREATE TABLE bans (id INTEGER);\n-- bustard: down\nDROP TABLE bans;\n",
    );
    project.bustard(&["migrate"]).success();
    project.config("[database]\nurl = \"sqlite:app.db\"\n");
    for (signal, code) in SIGNALS {
        let running = Running::on_terminal(project.command(&["uninstall", "bans"]));
        running.wait_for_stdout("Type the app's label");
        running.signal(signal);
        running.wait().exits(code);
        assert!(project.sqlite_schema("app.db").contains("table bans "));
    }
}

#[test]
fn a13_while_watching() {
    let project = Project::new();
    project.file("migrations/V1__a.sql", "CREATE TABLE a (id INTEGER);\n");
    project.bustard(&["migrate", "--database-url", "sqlite:app.db"]).success();
    for (signal, code) in SIGNALS {
        let running = project.spawn(&["caches", "watch", "--database-url", "sqlite:app.db"]);
        running.wait_for_stdout("watching");
        running.signal(signal);
        running.wait().exits(code);
    }
}

/// A request to cancel reaches nobody, and the command ends nevertheless.
#[test]
fn a13_while_the_server_is_silent() {
    let project = sleeping_project();
    let all = SIGNALS.map(|_| Database::new());
    let started = SIGNALS.iter().zip(&all).map(|((signal, code), database)| {
        let proxy = Proxy::start(database.cluster().port());
        let running = migrating(&project, &proxy.url(&database.url()));
        database.wait_until(SLEEPING);
        proxy.go_silent();
        running.signal(signal);
        (running, proxy, *code)
    });
    for (running, proxy, code) in started.collect::<Vec<_>>() {
        running.wait().exits(code).complains("does not answer");
        drop(proxy);
    }
}

/// A signal that was ignored at the start stays ignored.
#[test]
fn a13_under_nohup() {
    let database = Database::new();
    let project = sleeping_project();
    let mut command = std::process::Command::new("sh");
    let script = "trap '' HUP; exec \"$0\" \"$@\"";
    let bustard = project.command::<&str>(&[]);
    command.arg("-c").arg(script).arg(bustard.get_program()).args([
        "migrate",
        "--database-url",
        &database.url(),
    ]);
    command.current_dir(project.path());
    let mut running = Running::start(command);
    database.wait_until(SLEEPING);
    running.signal("HUP");
    running.signal("HUP");
    assert!(running.is_running());
    assert_eq!(database.value(SLEEPING), "t");
    running.signal("TERM");
    running.wait().exits(143);
}

/// The server notices that its client is gone, in a first migration, in a later one of the
/// same transaction, and with a function.
#[test]
fn a13_a_killed_command_is_rolled_back() {
    for (before, mode) in [(0, "each"), (2, "each"), (2, "all")] {
        let database = Database::new();
        let project = Project::new();
        project.numbered_migrations(before);
        let slow = "CREATE TABLE started (id INTEGER);\nSELECT pg_sleep(3600);\n";
        project.file("migrations/V9__slow.sql", slow);
        let running = project.spawn(&["migrate", "--transaction", mode, "--database-url", &database.url()]);
        database.wait_until(SLEEPING);
        running.kill9();
        database.wait_until(&format!("SELECT NOT x.exists FROM ({SLEEPING}) x"));
        assert_eq!(database.value("SELECT to_regclass('started') IS NULL"), "t");
        project.file("migrations/V9__slow.sql", "CREATE TABLE short (id INTEGER);\n");
        project.bustard(&["migrate", "--lock-wait", "20s", "--database-url", &database.url()]).success();
    }
}
