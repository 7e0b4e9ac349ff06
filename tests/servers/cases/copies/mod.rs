//! Row C5: a copy of a database is noticed, gets an identity of its own, and never shares
//! cached values with the original.

mod forbidden;
mod nothing;
mod noticed;
mod physical;
mod repaired;
mod runners;
mod stores;

use bustard::{App, Migration, Migrator};
use serde_json::Value;

use crate::support::{Binaries, Cluster, Database, Outcome, Project};

/// The migrator of a database with a table and a cache for it, which no trigger invalidates.
fn migrator() -> Migrator {
    let settings = Migration::new()
        .sql("CREATE TABLE setting (value text NOT NULL)")
        .sql("INSERT INTO setting VALUES ('original')")
        .register_cache("settings")
        .register_cache("others");
    Migrator::new().app(App::new("main").migration("V1__settings", settings))
}

/// Creates a database and migrates it with the library.
fn migrated() -> Database<'static> {
    let database = Database::new();
    assert!(migrator().run(&mut database.client()).expect("it runs").changed());
    database
}

/// Writes the migrations that the command runs.
fn project() -> Project {
    let project = Project::new();
    project
        .file(
            "migrations/V1__users.sql",
            "CREATE TABLE users (id integer);\n-- bustard: register cache users on users\n\
             -- bustard: down\nDROP TABLE users;\n",
        )
        .file(
            "migrations/V2__posts.sql",
            "CREATE TABLE posts (id integer);\n-- bustard: register cache posts\n\
             -- bustard: down\nDROP TABLE posts;\n",
        );
    project
}

/// Runs the command on a database, as the superuser.
fn run(project: &Project, database: &Database<'_>, arguments: &[&str]) -> Outcome {
    run_as(project, database, "postgres", arguments)
}

fn run_as(project: &Project, database: &Database<'_>, role: &str, arguments: &[&str]) -> Outcome {
    project.bustard(&[arguments, &["--database-url", &database.url_as(role)]].concat())
}

/// Creates a database in the shared cluster and migrates it with the command.
fn installed(project: &Project) -> Database<'static> {
    installed_on(project, Cluster::shared())
}

fn installed_on<'c>(project: &Project, cluster: &'c Cluster) -> Database<'c> {
    let database = Database::on(cluster);
    run(project, &database, &["migrate"]).success();
    database
}

fn identity(database: &Database<'_>) -> String {
    database.value("SELECT identity FROM bustard.database")
}

/// The versions of both caches.
fn versions(database: &Database<'_>) -> Vec<String> {
    database.psql("SELECT version FROM bustard.caches ORDER BY name").concat()
}

const COPY: &str =
    "this database is a copy of another one: `bustard migrate` gives it an identity of its own";
const GIVEN: &str = "gave this copy of a database an identity of its own";

/// Asserts that the commands that only look show a copy and change nothing.
#[track_caller]
fn is_shown(project: &Project, database: &Database<'_>, what: &str) {
    let before = database.contents();
    let check = run(project, database, &["check"]);
    assert_eq!(check.code, Some(3), "{what}: {check}");
    assert!(check.stdout.contains(COPY) && check.stdout.contains("not up to date"), "{what}: {check}");
    run(project, database, &["status"]).success().says(COPY);
    let status = run(project, database, &["status", "--json"]).success().json();
    assert_eq!(
        [&status["copied"], &status["up_to_date"]],
        [&Value::Bool(true), &Value::Bool(false)],
        "{what}"
    );
    let line = "this database is a copy of another one: give it an identity of its own";
    run(project, database, &["plan"]).success().says(line);
    run(project, database, &["plan", "--sql"]).success().says(&format!("-- {line}"));
    let plan = run(project, database, &["plan", "--json"]).success().json();
    let expected = [&Value::Bool(true), &Value::Bool(true)];
    assert_eq!([&plan["new_identity"], &plan["caches_invalidated"]], expected, "{what}");
    assert_eq!(database.contents(), before, "{what}: something was written");
}

/// Asserts that a copy is shown, and that the next run gives it an identity of its own and
/// invalidates every cache, once.
#[track_caller]
fn is_noticed(project: &Project, database: &Database<'_>, what: &str) {
    is_shown(project, database, what);
    let (identity_before, versions_before) = (identity(database), versions(database));
    let report = run(project, database, &["migrate", "--json"]).success().json();
    assert_eq!(
        [&report["changed"], &report["new_identity"]],
        [&Value::Bool(true), &Value::Bool(true)],
        "{what}"
    );
    assert_eq!(
        (&report["steps"], &report["warnings"]),
        (&Value::Array(vec![]), &Value::Array(vec![])),
        "{what}"
    );
    assert_eq!(report["caches_invalidated"], versions_before.len(), "{what}");
    assert_ne!(identity(database), identity_before, "{what}");
    let versions_after = versions(database);
    for (before, after) in versions_before.iter().zip(&versions_after) {
        assert_ne!(before, after, "{what}");
    }
    is_original(project, database, what);
}

/// Asserts that a database is not a copy for any command, and that a run has nothing to do.
#[track_caller]
fn is_original(project: &Project, database: &Database<'_>, what: &str) {
    let before = database.contents();
    let check = run(project, database, &["check"]);
    assert_eq!(check.code, Some(0), "{what}: {check}");
    assert_eq!(run(project, database, &["status", "--json"]).success().json()["copied"], false, "{what}");
    assert!(
        run(project, database, &["plan", "--json"]).success().json().get("new_identity").is_none(),
        "{what}"
    );
    let migrate = run(project, database, &["migrate"]).success();
    assert!(migrate.stdout.contains("nothing to do"), "{what}: {migrate}");
    let report = run(project, database, &["migrate", "--json"]).success().json();
    assert!(report["changed"] == false && report.get("new_identity").is_none(), "{what}");
    assert_eq!(database.contents(), before, "{what}: something was written");
}

/// Dumps a database and restores it into another one.
fn restored(from: &Database<'_>, into: &Database<'_>, options: &[&str]) {
    let mut dump = Binaries::find().client_command("pg_dump");
    dump.args(options).arg("--dbname").arg(from.url());
    let sql = Outcome::of(dump).success().stdout;
    let project = Project::new();
    project.file("dump.sql", sql);
    into.psql_file(&project.path().join("dump.sql")).success();
}
