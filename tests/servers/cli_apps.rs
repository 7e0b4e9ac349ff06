//! Tests `bustard apps`, `disable` and `enable`, and the reports of other commands on
//! disabled apps.

use crate::support::{Outcome, Project, Scene, snapshot_settings, transcript};

const FORUM: &str = "[[apps]]\nlabel = \"forum\"\nmigrations = \"forum\"\n";
const BANS: &str = "[[apps]]\nlabel = \"bans\"\nmigrations = \"bans\"\n";

/// Creates a project with a forum and its plugin. Both are migrated, and a migration of the
/// plugin is pending.
fn project() -> Project {
    let project = Project::new();
    project
        .config(&format!("{FORUM}{BANS}"))
        .file(".env", "DATABASE_URL=sqlite:app.db\n")
        .file("forum/V1__users.sql", "-- bustard: register cache settings\nCREATE TABLE users (id INTEGER);\n")
        .file("bans/V1__ban.sql", "-- bustard: depends on forum V1\n-- bustard: register cache bans\nCREATE TABLE ban (id INTEGER);\n");
    project.bustard(&["migrate"]).success();
    project.file("bans/V2__reason.sql", "ALTER TABLE ban ADD COLUMN reason TEXT;\n");
    project
}

#[track_caller]
fn snapshot(project: &Project, name: &str, outcomes: &[Outcome]) {
    snapshot_settings(project).bind(|| insta::assert_snapshot!(name, transcript(outcomes)));
}

#[test]
fn every_state() {
    let project = project();
    project.config(&format!("{FORUM}{BANS}[[apps]]\nlabel = \"new\"\nmigrations = \"new\"\n"));
    project.file("new/V1__new.sql", "CREATE TABLE new (id INTEGER);\n");
    let configured = project.bustard(&["apps"]).success();
    let json = project.bustard(&["apps", "--json"]).success();
    project.bustard(&["disable", "new"]).success();
    let disabled = project.bustard(&["apps"]).success();
    // The app is no longer configured, and only the database knows it.
    project.config(FORUM);
    let gone = project.bustard(&["apps"]).success();
    snapshot(&project, "apps", &[configured, json, disabled, gone]);
}

#[test]
fn an_empty_database_has_no_apps() {
    let project = Project::new();
    project
        .file("migrations/V1__a.sql", "CREATE TABLE a (id INTEGER);\n")
        .sqlite("empty.db")
        .execute_batch("CREATE TABLE other (id INTEGER)")
        .expect("it is SQL");
    let url = ["--database-url", "sqlite:empty.db"];
    let apps = project.bustard(&[&["apps"], &url[..]].concat()).success();
    let disable = project.bustard(&[&["disable", "main"], &url[..]].concat()).exits(1);
    snapshot(&project, "before", &[apps, disable]);
}

#[test]
fn disabling_and_enabling() {
    let project = project();
    let version = || project.bustard(&["caches", "get", "settings"]).success().stdout;
    let before = version();
    let disable = project.bustard(&["disable", "bans"]).success();
    let after = version();
    assert_ne!(before, after, "every run that changes something invalidates");
    let again = project.bustard(&["disable", "bans"]).success();
    assert_eq!(version(), after);
    let migrate = project.bustard(&["migrate"]).success();
    let enable = project.bustard(&["enable", "bans"]).success();
    let json = project.bustard(&["disable", "bans", "--json"]).success().json();
    assert_eq!(json["apps"], serde_json::json!([{ "app": "bans", "state": "disabled" }]));
    assert_eq!((&json["changed"], &json["steps"]), (&true.into(), &serde_json::json!([])));
    project.bustard(&["enable", "bans"]).success();
    let last = project.bustard(&["migrate"]).success();
    snapshot(&project, "disabling", &[disable, again, migrate, enable, last]);
}

#[test]
fn a_disabled_app_is_not_checked() {
    let project = project();
    // The plugin is divergent and pending; the forum is up to date.
    project.file("bans/V1__ban.sql", "-- bustard: depends on forum V1\nCREATE TABLE ban (id BIGINT);\n");
    project.bustard(&["check"]).exits(4);
    project.bustard(&["disable", "bans"]).success();
    let check = project.bustard(&["check"]).success();
    let status = project.bustard(&["status"]).success();
    let plan = project.bustard(&["plan"]).success();
    let json = project.bustard(&["check", "--json"]).success().json();
    assert_eq!((&json["up_to_date"], &json["disabled"]), (&true.into(), &serde_json::json!(["bans"])));
    // Another app has pending migrations.
    project.file("forum/V2__more.sql", "CREATE TABLE more (id INTEGER);\n");
    let pending = project.bustard(&["check"]).exits(3);
    project.bustard(&["enable", "bans"]).success();
    project.bustard(&["check"]).exits(4);
    snapshot(&project, "expected", &[check, status, plan, pending]);
}

#[test]
fn a_dependant_of_a_disabled_app_waits() {
    let project = project();
    project.bustard(&["disable", "bans"]).success();
    project.file("forum/V2__more.sql", "-- bustard: depends on bans V2\nCREATE TABLE more (id INTEGER);\n");
    let migrate = project.bustard(&["migrate"]).exits(1);
    project.bustard(&["enable", "bans"]).success();
    project.bustard(&["migrate"]).success();
    // The dependency is removed after the migration was applied, which is a warning.
    project.file("forum/V2__more.sql", "CREATE TABLE more (id INTEGER);\n");
    let warned = ["migrate", "plan", "status", "check"].map(|command| project.bustard(&[command]).success());
    for outcome in &warned {
        assert!(outcome.stderr.contains("warning: "), "{outcome}");
    }
    let [migrated, ..] = warned;
    snapshot(&project, "waits", &[migrate, migrated]);
}

#[test]
fn unknown_labels_are_refused() {
    let project = project();
    let unknown = project.bustard(&["disable", "ban"]).exits(2);
    let own = project.bustard(&["disable", "bustard"]).exits(2);
    let json = project.bustard(&["enable", "ban", "--json"]).exits(2).json();
    assert_eq!(json["error"]["kind"], "usage");
    snapshot(&project, "unknown", &[unknown, own]);
}

#[test]
fn on_postgres_as_well() {
    let scene = Scene::postgres();
    scene.good_files();
    scene.project.bustard(&["migrate", "--database-url", &scene.url()]).success();
    let run = |words: &[&str]| {
        let url = scene.url();
        scene.project.bustard(&[words, &["--database-url", &url]].concat())
    };
    run(&["disable", "main"]).success().says("disabled main");
    scene.project.file("migrations/V9__wrong.sql", "CREATE nonsense;\n");
    run(&["migrate"]).success().says("nothing to do");
    let apps = run(&["apps", "--json"]).success().json();
    assert_eq!((&apps["apps"][0]["app"], &apps["apps"][0]["state"]), (&"main".into(), &"disabled".into()));
    run(&["enable", "main"]).success().says("enabled main");
    run(&["migrate"]).exits(1).complains("nonsense");
}
