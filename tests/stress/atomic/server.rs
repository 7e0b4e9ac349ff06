//! Tests runs during which the server stops or the connection to it is lost.

use crate::support::proxy::Proxy;
use crate::support::{Cluster, Outcome, Project, Running, Subject};

/// Creates two quick migrations, and a third one that waits until the test ends it.
fn endless() -> Project {
    let project = Project::new();
    project
        .file("migrations/V1__one.sql", "CREATE TABLE one (id int);\n-- bustard: register cache one\n")
        .file("migrations/V2__two.sql", "CREATE TABLE two (id int);\n")
        .file("migrations/V3__three.sql", "CREATE TABLE three (id int);\nSELECT pg_sleep(3600);\n");
    project
}

/// Ends the server or one of its processes with `end` while the third migration runs.
fn interrupted(subject: &Subject<'_>, end: impl FnOnce()) -> Outcome {
    let run = subject.spawn(&["migrate"]);
    subject.database().wait_until(
        "SELECT EXISTS (SELECT FROM pg_stat_activity \
         WHERE datname = current_database() AND wait_event = 'PgSleep')",
    );
    end();
    run.wait()
}

fn is_told(outcome: Outcome) {
    let outcome = outcome
        .exits(1)
        .complains("the connection to the database was lost")
        .complains("main:V1__one")
        .complains("main:V2__two");
    assert!(!outcome.stderr.contains("panicked"), "{outcome}");
}

/// Asserts that committed migrations are present, that nothing of the third migration
/// remains, and that the next run completes.
fn recovers(subject: &Subject<'_>) {
    let there = |table: &str| subject.number(&format!("SELECT count(to_regclass('{table}'))"));
    assert_eq!([there("one"), there("two"), there("three")], [1, 1, 0]);
    let version = subject.state().versions["one"];
    subject.project.file("migrations/V3__three.sql", "CREATE TABLE three (id int);\n");
    subject.bustard(&["migrate"]).success().says("V3__three");
    assert_eq!(there("three"), 1);
    assert!(subject.state().versions["one"] > version);
    subject.bustard(&["check"]).success();
}

#[test]
fn the_server_is_stopped_at_once() {
    let cluster = Cluster::start_with(&[]);
    let project = endless();
    let subject = Subject::on(&cluster, &project);
    is_told(interrupted(&subject, || cluster.stop("QUIT")));
    cluster.restart();
    recovers(&subject);
}

#[test]
fn the_server_is_killed() {
    let cluster = Cluster::start_with(&[]);
    let project = endless();
    let subject = Subject::on(&cluster, &project);
    is_told(interrupted(&subject, || cluster.kill9()));
    cluster.restart();
    recovers(&subject);
}

#[test]
fn the_connection_is_ended_by_an_administrator() {
    let project = endless();
    let subject = Subject::on(Cluster::shared(), &project);
    is_told(interrupted(&subject, || {
        subject.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND wait_event = 'PgSleep'",
        );
    }));
    subject.quiet();
    recovers(&subject);
}

/// The connection is lost after the COMMIT was sent, and the server continues. The command
/// cannot know the outcome, and must not claim to know it.
#[test]
fn the_network_fails_and_the_server_continues() {
    let project = Project::new();
    project
        .file("migrations/V1__one.sql", "CREATE TABLE one (id int);\n-- bustard: register cache one\n")
        .file("migrations/V2__two.sql", "CREATE TABLE two (id int);\nSELECT pg_advisory_xact_lock(7);\n");
    let subject = Subject::on(Cluster::shared(), &project);
    let mut holder = subject.client();
    holder.execute("SELECT pg_advisory_lock(7)", &[]).expect("no other session holds it");
    let proxy = Proxy::start(Cluster::shared().port());
    let mut command = subject.command(&["migrate"]);
    command.env("DATABASE_URL", proxy.url(&subject.url()));
    let run = Running::start(command);
    subject.database().wait_until(
        "SELECT EXISTS (SELECT FROM pg_stat_activity \
         WHERE datname = current_database() AND wait_event_type = 'Lock')",
    );
    let version = subject.state().versions["one"];
    proxy.cut();
    let outcome = run.wait().exits(1).complains("it is unknown whether").complains("main:V1__one");
    assert!(!outcome.stderr.contains("kept: main:V2__two"), "{outcome}");
    drop(holder);
    subject.quiet();
    assert_eq!(subject.number("SELECT count(to_regclass('two'))"), 1);
    assert!(subject.state().versions["one"] > version);
    subject.bustard(&["migrate"]).success().says("nothing to do");
}
