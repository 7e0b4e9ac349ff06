//! Tests exit code 5: another run holds the migration lock for longer than the
//! command waits.

use crate::support::{Database, Project, snapshot_settings};

fn project() -> Project {
    let project = Project::new();
    project.file("migrations/V1__slow.sql", "SELECT pg_sleep(3600);\n");
    project
}

#[test]
fn the_holder_is_named() {
    let database = Database::new();
    let project = project();
    let url = database.url();
    let holder = project.spawn(&["migrate", "--database-url", &url]);
    database.wait_until(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database())",
    );
    let migrate = ["migrate", "--lock-wait", "300ms", "--database-url", &url];
    let outcome = project.bustard(&migrate).exits(5);
    snapshot_settings(&project).bind(|| {
        insta::assert_snapshot!("locked", format!("{}--- stderr\n{}", outcome.stdout, outcome.stderr));
    });
    let document = project.bustard(&[&migrate[..], &["--json"]].concat()).exits(5).json();
    assert_eq!(document["error"]["kind"], "locked");
    holder.signal("INT");
    holder.wait().exits(130);
}

#[test]
fn a_busy_file() {
    let project = Project::new();
    project.file("migrations/V1__a.sql", "CREATE TABLE a (id INTEGER);\n");
    let writer = project.sqlite("app.db");
    writer
        .execute_batch("BEGIN IMMEDIATE; CREATE TABLE other (id INTEGER)")
        .expect("no other session writes");
    let migrate = ["migrate", "--lock-wait", "300ms", "--database-url", "sqlite:app.db"];
    let outcome = project.bustard(&migrate).exits(5);
    snapshot_settings(&project).bind(|| {
        insta::assert_snapshot!("busy", format!("{}--- stderr\n{}", outcome.stdout, outcome.stderr));
    });
    writer.execute_batch("COMMIT").expect("it commits");
    project.bustard(&migrate).success();
}
