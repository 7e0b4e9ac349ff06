//! Tests `bustard new`.

use crate::support::Project;

#[test]
fn the_first_migration_creates_the_directory() {
    let project = Project::new();
    let outcome = project.bustard(&["new", "create_users"]).success();
    assert_eq!(outcome.stdout, "created migrations/V1__create_users.sql\n");
    insta::assert_snapshot!("new_migration", project.read("migrations/V1__create_users.sql"));
}

#[test]
fn a_new_migration_can_be_migrated() {
    let project = Project::new();
    project.bustard(&["new", "create_users"]).success();
    project.bustard(&["migrate", "--database-url", "sqlite:app.db"]).success().says("V1__create_users");
}

#[test]
fn numbers_continue_after_the_last_version() {
    for (before, after) in [
        ("V1__a.sql", "V2__next.sql"),
        ("V009__a.sql", "V010__next.sql"),
        ("later/V4__a.sql", "V5__next.sql"),
        ("U7__a.rs", "V8__next.sql"),
        ("V3__a.postgres.sql", "V4__next.sql"),
    ] {
        let project = Project::new();
        project.file(format!("migrations/{before}"), "");
        project.bustard(&["new", "next"]).success();
        assert!(project.path().join("migrations").join(after).exists(), "{before}: {:?}", project.files("."));
    }
}

#[test]
fn a_timestamp_follows_a_timestamp() {
    for (before, digits) in [("V20240101120000__a.sql", 14), ("V1704110400__a.sql", 10)] {
        let project = Project::new();
        project.file(format!("migrations/{before}"), "");
        let created = project.bustard(&["new", "next", "--json"]).success().json();
        let migration = created["migration"].as_str().unwrap_or_default();
        let version = migration.trim_start_matches('V').trim_end_matches("__next");
        assert_eq!(version.len(), digits, "{migration}");
        assert!(migration > before, "{migration}");
    }
}

#[test]
fn names() {
    let project = Project::new();
    project.bustard(&["new", "Create users-table"]).success().says("V1__Create_users_table.sql");
    for name in ["", "a/b", "../x", "a.b", "drop!"] {
        project.bustard(&["new", name]).exits(2);
    }
    assert_eq!(project.files(".").len(), 1);
}

#[test]
fn rust() {
    let project = Project::new();
    project.bustard(&["new", "backfill", "--rs"]).success().says("migrations/V1__backfill.rs");
    insta::assert_snapshot!("new_rust_migration", project.read("migrations/V1__backfill.rs"));
}

#[test]
fn the_app_must_be_chosen_if_there_are_several() {
    let project = Project::new();
    project.config(
        "[[apps]]\nlabel = \"forum\"\nmigrations = \"forum\"\n[[apps]]\nlabel = \"bans\"\nmigrations = \"bans\"\n",
    );
    let outcome = project.bustard(&["new", "x"]).exits(2);
    insta::assert_snapshot!(outcome.stderr, @"
    error: there are several apps, and none was chosen
      help: choose one with --app: forum, bans
    ");
    let outcome = project.bustard(&["new", "x", "--app", "form"]).exits(2);
    insta::assert_snapshot!(outcome.stderr, @"
    error: there is no app `form`
      help: did you mean `forum`?
    ");
    project.bustard(&["new", "x", "--app", "bans"]).success().says("created bans/V1__x.sql");
}

#[test]
fn a_file_in_place_of_the_directory() {
    let project = Project::new();
    project.file("migrations", "");
    project.bustard(&["new", "x"]).exits(2).complains("migrations");
}

#[test]
fn as_json() {
    let project = Project::new();
    let outcome = project.bustard(&["new", "x", "--json"]).success();
    assert_eq!(outcome.stderr, "");
    insta::assert_snapshot!(outcome.stdout, @r#"
    {
      "app": "main",
      "migration": "V1__x",
      "file": "migrations/V1__x.sql"
    }
    "#);
}
