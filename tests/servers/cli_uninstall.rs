//! Tests `bustard uninstall`.

use crate::support::{Outcome, Project, Running, Scene, snapshot_settings, transcript, wait_until};

const FORUM: &str = "[[apps]]\nlabel = \"forum\"\nmigrations = \"forum\"\n";
const BANS: &str = "[[apps]]\nlabel = \"bans\"\nmigrations = \"bans\"\n";

/// Creates a project with a forum, its plugin and some data.
fn project() -> Project {
    let project = Project::new();
    project
        .config(&format!("{FORUM}{BANS}"))
        .file(".env", "DATABASE_URL=sqlite:app.db\n")
        .file(
            "forum/V1__threads.sql",
            "-- bustard: register cache threads\nCREATE TABLE thread (id INTEGER PRIMARY KEY);\nINSERT INTO thread VALUES (1);\n-- bustard: down\nDROP TABLE thread;\n",
        )
        .file(
            "bans/V1__bans.sql",
            "-- bustard: depends on forum V1\n-- bustard: register cache bans\nCREATE TABLE ban (id INTEGER PRIMARY KEY);\nINSERT INTO ban VALUES (1), (2), (3);\n-- bustard: down\nDROP TABLE ban;\n",
        )
        .file(
            "bans/V2__reasons.sql",
            "CREATE TABLE reason (id INTEGER PRIMARY KEY);\nCREATE VIEW reasons AS SELECT id FROM reason;\n-- bustard: down\nDROP VIEW reasons;\nDROP TABLE reason;\n",
        );
    project.bustard(&["migrate"]).success();
    project
}

/// Removes the plugin from the configuration and deletes its files, as users do before they
/// uninstall it.
fn without_files(project: &Project) {
    project.config(FORUM);
    std::fs::remove_dir_all(project.path().join("bans")).expect("the directory is there");
}

#[track_caller]
fn snapshot(project: &Project, name: &str, outcomes: &[Outcome]) {
    let mut settings = snapshot_settings(project);
    settings.add_filter(r#""elapsed_ms": \d+"#, r#""elapsed_ms": "[ms]""#);
    settings.bind(|| insta::assert_snapshot!(name, transcript(outcomes)));
}

/// Returns the whole contents of the database, including versions of caches.
fn contents(project: &Project) -> String {
    let caches = project.bustard(&["caches"]).success().stdout;
    project.sqlite_schema("app.db") + &caches + &project.bustard(&["apps"]).success().stdout
}

#[test]
fn an_uninstall_without_a_terminal_is_refused() {
    let project = project();
    without_files(&project);
    let before = contents(&project);
    let refused = project.bustard(&["uninstall", "bans"]).exits(2);
    let json = project.bustard(&["uninstall", "bans", "--json"]).exits(2);
    assert_eq!(json.json()["plan"]["tables"][1], serde_json::json!({ "table": "reason", "rows": 0 }));
    assert_eq!(contents(&project), before);
    snapshot(&project, "not_confirmed", &[refused, json]);
}

#[test]
fn with_yes() {
    let project = project();
    without_files(&project);
    let done = project.bustard(&["uninstall", "bans", "--yes"]).success();
    let schema = project.sqlite_schema("app.db");
    assert!(!schema.contains("ban") && schema.contains("table thread"), "{schema}");
    let apps = project.bustard(&["apps"]).success();
    project.bustard(&["check"]).success();
    let again = project.bustard(&["uninstall", "bans", "--yes"]).exits(2);
    let own = project.bustard(&["uninstall", "bustard", "--yes"]).exits(2);
    let typo = project.bustard(&["uninstall", "forun", "--yes"]).exits(2);
    snapshot(&project, "yes", &[done, apps, again, own, typo]);
}

#[test]
fn migrate_installs_an_uninstalled_app_that_is_still_configured() {
    let project = project();
    let done = project.bustard(&["uninstall", "bans", "--yes", "--json"]).success();
    let document = done.json();
    assert_eq!(document["apps"], serde_json::json!([{ "app": "bans", "state": "not_installed" }]));
    assert_eq!(document["plan"]["caches"], serde_json::json!(["bans"]));
    let migrate = project.bustard(&["migrate"]).success();
    let warned = project.bustard(&["uninstall", "bans"]).exits(2);
    snapshot(&project, "configured", &[done, migrate, warned]);
}

#[test]
fn the_data_can_stay() {
    let project = project();
    let kept = project.bustard(&["uninstall", "bans", "--keep-data", "--yes"]).success();
    let apps = project.bustard(&["apps"]).success();
    let status = project.bustard(&["status"]).success();
    project.bustard(&["check"]).exits(3);
    let plan = project.bustard(&["plan"]).success();
    let back = project.bustard(&["migrate"]).success();
    project.bustard(&["check"]).success();
    let rows: i64 = project
        .sqlite("app.db")
        .query_row("SELECT count(*) FROM ban", [], |row| row.get(0))
        .expect("the table is there");
    assert_eq!(rows, 3);
    snapshot(&project, "kept", &[kept, apps, status, plan, back]);
}

#[test]
fn the_uninstall_of_a_needed_app_is_refused() {
    let project = project();
    let before = contents(&project);
    let refused = project.bustard(&["uninstall", "forum", "--yes"]).exits(1);
    let json = project.bustard(&["uninstall", "forum", "--yes", "--json"]).exits(1);
    assert_eq!(json.json()["error"]["kind"], "failed");
    assert_eq!(contents(&project), before);
    let cascade = project.bustard(&["uninstall", "forum", "--yes", "--cascade"]).success();
    let schema = project.sqlite_schema("app.db");
    assert!(!schema.contains("thread") && !schema.contains("table ban "), "{schema}");
    snapshot(&project, "needed", &[refused, json, cascade]);
}

#[test]
fn a_foreign_key_from_elsewhere() {
    let project = project();
    project.file(
        "forum/V2__appeals.sql",
        "CREATE TABLE appeal (id INTEGER PRIMARY KEY, ban INTEGER REFERENCES ban (id));\n",
    );
    project.bustard(&["migrate"]).success();
    without_files(&project);
    let before = contents(&project);
    let refused = project.bustard(&["uninstall", "bans", "--yes"]).exits(1);
    assert_eq!(contents(&project), before);
    snapshot(&project, "foreign_key", &[refused]);
}

#[test]
fn a_failing_revert_changes_nothing() {
    let project = project();
    without_files(&project);
    // The `down` of V1 drops a table that does not exist, after V2 was reverted.
    project.sqlite("app.db").execute_batch("DROP TABLE ban").expect("it is SQL");
    let before = contents(&project);
    let failed = project.bustard(&["uninstall", "bans", "--yes"]).exits(1);
    assert_eq!(contents(&project), before);
    snapshot(&project, "fails", &[failed]);
}

#[test]
fn on_postgres_as_well() {
    let scene = Scene::postgres();
    scene.file(
        "V1__a.sql",
        "CREATE TABLE a (id int);\nINSERT INTO a VALUES (1);\n-- bustard: down\nDROP TABLE a;\n",
    );
    let url = scene.url();
    let run = |words: &[&str]| scene.project.bustard(&[words, &["--database-url", &url]].concat());
    run(&["migrate"]).success();
    run(&["uninstall", "main"]).exits(2).says("table public.a, with 1 row\n");
    run(&["uninstall", "main", "--yes"]).success().says("uninstalled main");
    assert_eq!(scene.database().value("SELECT to_regclass('a') IS NULL"), "t");
}

#[test]
fn a_signal_during_the_revert() {
    let scene = Scene::postgres();
    scene.file(
        "V1__a.sql",
        "-- bustard: register cache a\nCREATE TABLE a (id int);\n-- bustard: down\nDROP TABLE a;\nSELECT pg_sleep(600);\n",
    );
    scene.migrate(&[]).success();
    let url = scene.url();
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let before = scene.contents();
        let running = scene.project.spawn(&["uninstall", "main", "--yes", "--json", "--database-url", &url]);
        wait_until("the revert sleeps", || {
            let sleeping = "SELECT count(*) FROM pg_stat_activity \
                            WHERE datname = current_database() AND wait_event = 'PgSleep'";
            scene.value(sleeping) == "1"
        });
        running.signal(signal);
        let outcome = running.wait().exits(code);
        assert!(outcome.json()["error"]["message"].is_string(), "{outcome}");
        assert_eq!(scene.contents(), before, "{outcome}");
    }
}

/// Starts the uninstall on a terminal, and waits for the question.
fn asked(project: &Project) -> Running {
    let running = Running::on_terminal(project.command(&["uninstall", "bans"]));
    running.wait_for_stdout("Type the app's label, bans, to uninstall it: ");
    running
}

#[test]
fn the_label_confirms_the_uninstall() {
    let project = project();
    without_files(&project);
    let mut running = asked(&project);
    running.types("bans\n");
    let outcome = running.wait().success().says("uninstalled bans");
    // The plan is printed before the question.
    let at = |text: &str| outcome.stdout.find(text).unwrap_or_else(|| panic!("{text:?} is not in {outcome}"));
    assert!(at("table ban, with 3 rows") < at("Type the app's label"), "{outcome}");
    assert!(!project.sqlite_schema("app.db").contains("table ban "), "{outcome}");
}

#[test]
fn any_other_answer_means_no() {
    let project = project();
    without_files(&project);
    let before = contents(&project);
    // The last answer ends the input.
    for answer in ["y\n", "yes\n", "\n", "ban\n", "BANS\n", "\x04"] {
        let mut running = asked(&project);
        running.types(answer);
        running.wait().exits(3).says("not confirmed: nothing was changed");
        assert_eq!(contents(&project), before, "{answer:?}");
    }
}

#[test]
fn a_signal_is_no_answer() {
    let project = project();
    without_files(&project);
    let before = contents(&project);
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let running = asked(&project);
        running.signal(signal);
        running.wait().exits(code);
        assert_eq!(contents(&project), before, "{signal}");
    }
}

#[test]
fn yes_and_json_skip_the_question_on_a_terminal() {
    let project = project();
    without_files(&project);
    let json = Running::on_terminal(project.command(&["uninstall", "bans", "--json"]));
    let outcome = json.wait().exits(2);
    assert_eq!(outcome.json()["error"]["kind"], "usage");
    let yes = Running::on_terminal(project.command(&["uninstall", "bans", "--yes"]));
    let outcome = yes.wait().success().says("uninstalled bans");
    assert!(!outcome.stdout.contains("Type the"), "{outcome}");
}
