//! Tests `bustard migrate`, `plan`, `revert` and `repair`: their output, and the
//! database afterwards.

use crate::support::{Outcome, Project, snapshot_settings};

const USERS: &str = "\
-- bustard: register cache users
CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL);

-- bustard: down
DROP TABLE users;
";

const BANS: &str = "\
-- bustard: depends on forum V1
-- bustard: register cache bans
-- bustard: register cache banned_names
CREATE TABLE ban (id INTEGER PRIMARY KEY REFERENCES users (id));

-- bustard: down
DROP TABLE ban;
";

/// Creates a project with an app and a plugin on a SQLite file.
fn project() -> Project {
    let project = Project::new();
    project
        .file("forum/V1__create_users.sql", USERS)
        .file("forum/V2__index_names.sql", "CREATE INDEX names ON users (name);\n")
        .file("bans/V1__create_bans.sql", BANS)
        .config(
            "[database]\nurl = \"sqlite:app.db\"\n\
             [[apps]]\nlabel = \"forum\"\nmigrations = \"forum\"\n\
             [[apps]]\nlabel = \"bans\"\nmigrations = \"bans\"\n",
        );
    project
}

/// Returns both outputs and the exit code as text.
fn shown(outcome: &Outcome) -> String {
    format!("{}--- stderr\n{}--- {}", outcome.stdout, outcome.stderr, outcome.code.unwrap_or(-1))
}

#[track_caller]
fn snapshot(project: &Project, name: &str, outcome: &Outcome) {
    snapshot_settings(project).bind(|| {
        insta::assert_snapshot!(name, shown(outcome));
    });
}

#[test]
fn migrate_reports_its_steps() {
    let project = project();
    snapshot(&project, "migrate", &project.bustard(&["migrate"]).success());
    assert!(project.sqlite_schema("app.db").contains("index names on users"));
}

#[test]
fn a_second_run_has_nothing_to_do() {
    let project = project();
    project.bustard(&["migrate"]).success();
    let before = project.bustard(&["caches", "--json"]).success().json();
    snapshot(&project, "migrate_again", &project.bustard(&["migrate"]).success());
    assert_eq!(project.bustard(&["caches", "--json"]).success().json(), before);
}

#[test]
fn migrate_as_json() {
    let project = project();
    let outcome = project.bustard(&["--json", "migrate"]).success();
    let document = outcome.json();
    assert_eq!(document["changed"], true);
    assert_eq!(document["caches_invalidated"], 3);
    assert_eq!(document["steps"].as_array().map(Vec::len), Some(14));
    let mut settings = snapshot_settings(&project);
    settings.add_filter(r#""elapsed_ms": \d+"#, r#""elapsed_ms": "[ms]""#);
    settings.bind(|| insta::assert_snapshot!("migrate_json", outcome.stdout));

    let document = project.bustard(&["migrate", "--json"]).success().json();
    assert_eq!(document["changed"], false);
    assert_eq!(document["caches_invalidated"], 0);
}

#[test]
fn up_to_a_target() {
    let project = project();
    let planned = |arguments: &[&str]| {
        let outcome = project.bustard(arguments).success();
        outcome.json()["steps"].as_array().map(Vec::len)
    };
    project.bustard(&["migrate", "--to", "bustard:1"]).success();
    assert_eq!(planned(&["plan", "--json", "--to", "forum:V1"]), Some(1));
    assert_eq!(planned(&["plan", "--json"]), Some(3));
    project.bustard(&["migrate", "--to", "forum:V1"]).success();
    let schema = project.sqlite_schema("app.db");
    assert!(schema.contains("table users"), "{schema}");
    assert!(!schema.contains("index names"), "{schema}");
    project.bustard(&["migrate", "--to", "forum:9"]).exits(2);
    project.bustard(&["migrate", "--to", "form:1"]).exits(2);
}

#[test]
fn faked() {
    let project = project();
    project.bustard(&["migrate", "--fake"]).success().says("faked");
    let schema = project.sqlite_schema("app.db");
    assert!(!schema.contains("table users"), "{schema}");
    project.bustard(&["caches"]).success().says("banned_names");
    project.bustard(&["check"]).success();
}

#[test]
fn the_plan() {
    let project = project();
    project.bustard(&["migrate", "--to", "forum:V1"]).success();
    let before = project.sqlite_schema("app.db");
    snapshot(&project, "plan", &project.bustard(&["plan"]).success());
    snapshot(&project, "plan_sql", &project.bustard(&["plan", "--sql"]).success());
    snapshot(&project, "plan_json", &project.bustard(&["plan", "--json"]).success());
    assert_eq!(project.sqlite_schema("app.db"), before);
    project.bustard(&["migrate"]).success();
    snapshot(&project, "plan_of_nothing", &project.bustard(&["plan"]).success());
}

#[test]
fn reverting() {
    let project = project();
    // The second migration gets a `down` section, because an irreversible migration is not
    // reverted.
    project.file(
        "forum/V2__index_names.sql",
        "CREATE INDEX names ON users (name);\n-- bustard: down\nDROP INDEX names;\n",
    );
    project.bustard(&["migrate"]).success();
    snapshot(&project, "revert_steps", &project.bustard(&["revert", "--steps", "1"]).success());
    project.bustard(&["migrate"]).success();
    snapshot(&project, "revert_to", &project.bustard(&["revert", "--to", "forum:V1"]).success());
    let schema = project.sqlite_schema("app.db");
    assert!(!schema.contains("index names"), "{schema}");
    project.bustard(&["check"]).exits(3);
}

#[test]
fn an_irreversible_migration_is_not_reverted() {
    let project = project();
    project.bustard(&["migrate"]).success();
    let before = project.sqlite_schema("app.db");
    let outcome = project.bustard(&["revert", "--to", "forum:V1"]);
    assert_ne!(outcome.code, Some(0), "{outcome}");
    snapshot(&project, "revert_refused", &outcome);
    assert_eq!(project.sqlite_schema("app.db"), before);
}

#[test]
fn repairing() {
    let project = project();
    project.bustard(&["migrate"]).success();
    project.file("forum/V2__index_names.sql", "CREATE INDEX names ON users (name); -- why\n");
    snapshot(&project, "divergent", &project.bustard(&["migrate"]).exits(4));
    snapshot(&project, "repair", &project.bustard(&["repair", "forum:V2"]).success());
    project.bustard(&["check"]).success();
    project.bustard(&["repair", "forum:V9"]).exits(2);
}

#[test]
fn refusals_and_their_flags() {
    let project = project();
    project.bustard(&["migrate"]).success();
    project.file("forum/V2__index_names.sql", "CREATE INDEX names ON users (name); -- why\n");
    project.bustard(&["migrate"]).exits(4);
    project.bustard(&["migrate", "--allow-divergent"]).success();

    let missing = self::project();
    missing.bustard(&["migrate"]).success();
    std::fs::remove_file(missing.path().join("forum/V2__index_names.sql")).expect("it is there");
    missing.bustard(&["migrate"]).exits(4);
    missing.bustard(&["migrate", "--allow-missing"]).success();
    // An allowed deviation is not logged as an error, not even by refinery.
    missing.file("forum/V9__later.sql", "CREATE TABLE later (id INTEGER);\n");
    let outcome = missing.bustard(&["migrate", "--allow-missing"]).success();
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome}");
    outcome.complains("forum V9__later applied in ");

    let late = self::project();
    late.file("forum/V5__later.sql", "CREATE TABLE later (id INTEGER);\n");
    late.bustard(&["migrate"]).success();
    late.file("forum/V4__late.sql", "CREATE TABLE late (id INTEGER);\n");
    late.bustard(&["migrate"]).exits(4);
    late.bustard(&["migrate", "--allow-out-of-order"]).success().says("V4__late");
}

#[test]
fn a_statement_that_fails() {
    let project = project();
    project.file("forum/V3__broken.sql", "CREATE TABLE a (id INTEGER);\n\nCREATE TABEL b (id INTEGER);\n");
    snapshot(&project, "failed", &project.bustard(&["migrate"]).exits(1));
    // The earlier migrations are applied, and the failed one is not.
    let schema = project.sqlite_schema("app.db");
    assert!(schema.contains("index names"), "{schema}");
    assert!(!schema.contains("table a "), "{schema}");
    snapshot(&project, "failed_json", &project.bustard(&["migrate", "--json"]).exits(1));
}

#[test]
fn all_or_nothing() {
    let project = project();
    project.file("forum/V3__broken.sql", "CREATE TABEL b (id INTEGER);\n");
    let outcome = project.bustard(&["migrate", "--transaction", "all"]).exits(1);
    assert!(outcome.stderr.contains("nothing was changed"), "{outcome}");
    let schema = project.sqlite_schema("app.db");
    assert!(!schema.contains("table users"), "{schema}");
}

#[test]
fn the_diagnostics_of_all_files_are_reported_before_anything_runs() {
    let project = project();
    project
        .file("forum/V3__x.sql", "COMMIT;\n")
        .file("forum/V4__typo.sql", "-- bustard: registr cache a\nSELECT 1;\n")
        .file("bans/V2__nameless.sql", "-- bustard: register cache\n");
    let outcome = project.bustard(&["migrate"]).exits(2);
    snapshot(&project, "source_problems", &outcome);
    let document = project.bustard(&["migrate", "--json"]).exits(2).json();
    assert_eq!(document["error"]["kind"], "source");
    assert_eq!(document["error"]["diagnostics"].as_array().map(Vec::len), Some(3));
    assert!(!project.path().join("app.db").exists());
}

#[test]
fn only_migrate_creates_the_file() {
    let project = project();
    for command in [
        &["plan"][..],
        &["status"],
        &["check"],
        &["caches"],
        &["revert", "--steps", "1"],
        &["repair", "forum:V1"],
        &["caches", "invalidate-all"],
    ] {
        let outcome = project.bustard(command);
        // Commands that only look find an empty database.
        let looks = matches!(command[0], "plan" | "status");
        assert_eq!(outcome.code == Some(0), looks, "{outcome}");
        assert!(!project.path().join("app.db").exists(), "{command:?}");
    }
    let url = project.sqlite_url("other.db");
    project.bustard(&["migrate", "--database-url", &url]).success();
}
