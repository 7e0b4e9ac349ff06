//! Tests the whole command in a host's own binary: `bustard::cli::run`.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::support::{Database, Outcome, Project, example, snapshot_settings, transcript};

fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| example("host"))
}

#[track_caller]
fn host(project: &Project, arguments: &[&str]) -> Outcome {
    Outcome::of(project.command_of(program(), arguments))
}

/// Returns a project whose database is a SQLite file.
fn project() -> Project {
    let project = Project::new();
    project.file(".env", "DATABASE_URL=sqlite:app.db\n");
    project
}

#[track_caller]
fn snapshot(project: &Project, name: &str, outcomes: &[Outcome]) {
    snapshot_settings(project).bind(|| insta::assert_snapshot!(name, transcript(outcomes)));
}

fn prices(project: &Project) -> i64 {
    let count = "SELECT count(*) FROM price";
    project.sqlite("app.db").query_row(count, [], |row| row.get(0)).expect("there is the table")
}

#[test]
fn functions_run_at_deploy_time() {
    let project = project();
    // For an empty database, the advice names this program.
    let absent = host(&project, &["caches"]).exits(1).complains("`host migrate` makes it");
    let plan = host(&project, &["plan", "--database-url", "sqlite::memory:"]).success();
    let migrate = host(&project, &["migrate"]).success();
    assert_eq!(prices(&project), 2);
    let again = host(&project, &["migrate"]).success();
    let status = host(&project, &["status"]).success();
    host(&project, &["check"]).success();
    host(&project, &["caches", "get", "prices"]).success();
    let revert = host(&project, &["revert", "--steps", "1"]).success();
    assert_eq!(prices(&project), 0);
    host(&project, &["check"]).exits(3);
    snapshot(&project, "deploy", &[absent, plan, migrate, again, status, revert]);
}

#[test]
fn functions_run_on_a_server() {
    let database = Database::new();
    database.psql("CREATE ROLE web_of_the_code; CREATE ROLE web_of_the_file");
    let project = Project::new();
    project.config("[registry]\ngrant = [\"web_of_the_file\"]\n");
    let url = database.url();
    host(&project, &["migrate", "--database-url", &url]).success();
    assert_eq!(database.value("SELECT count(*) FROM price"), "2");
    // The configuration file takes precedence over the code.
    let may_use =
        |role| database.value(&format!("SELECT has_schema_privilege('{role}', 'bustard', 'USAGE')"));
    assert_eq!([may_use("web_of_the_file"), may_use("web_of_the_code")], ["t", "f"]);
    // Without a configuration file, the settings of the code are used.
    let project = Project::new();
    let report = host(&project, &["migrate", "--json", "--database-url", &url]).success().json();
    assert_eq!(report["granted"], serde_json::json!(["web_of_the_code"]));
}

#[test]
fn messages_have_the_name_of_the_host() {
    let project = project();
    let version = host(&project, &["--version"]).success();
    let help = host(&project, &["--help"]).success();
    assert!(help.stdout.contains("Usage: host [OPTIONS] <COMMAND>"), "{help}");
    let nested = host(&project, &["caches", "get", "--help"]).success().says("Usage: host caches get");
    let wrong = host(&project, &["migrat"]).exits(2);
    let nothing = host(&project, &[]).exits(2).complains("Usage: host");
    project.sqlite("app.db").execute_batch("CREATE TABLE other (id INTEGER)").expect("it is SQL");
    let unready = host(&project, &["caches"]).exits(1);
    let json = host(&project, &["caches", "--json"]).exits(1);
    snapshot(&project, "called", &[version, nested, wrong, unready, json]);
    assert!(!nothing.stderr.contains("bustard migrate"), "{nothing}");

    // If the program has another name, messages contain that name.
    let other = project.path().join("shop-1.2");
    std::os::unix::fs::symlink(program(), &other).expect("links can be made");
    Outcome::of(project.command_of(&other, &["caches"])).exits(1).complains("run `shop-1.2 migrate`");
}

#[test]
fn the_configuration_adds_apps_and_the_host_has_priority() {
    let project = project();
    project
        .config(
            "[[apps]]\nlabel = \"shop\"\nmigrations = \"not-there\"\n[[apps]]\nlabel = \"gifts\"\nmigrations = \"gifts\"\n",
        )
        .file("gifts/V1__gift.sql", "-- bustard: depends on shop V2\nCREATE TABLE gift (id INTEGER);\n");
    let plan = host(&project, &["plan", "--json", "--database-url", "sqlite::memory:"]).success().json();
    let steps = plan["steps"].as_array().expect("steps are a list");
    let ours: Vec<_> = steps.iter().filter(|step| step["app"] != "bustard").collect();
    let ours: Vec<_> = ours.iter().map(|step| (&step["app"], &step["migration"])).collect();
    let expected = [("shop", "V1__create_price"), ("shop", "V2__prices"), ("gifts", "V1__gift")];
    let expected = expected.map(|(app, migration)| (app.into(), migration.into()));
    assert_eq!(ours, expected.each_ref().map(|(app, migration)| (app, migration)));
    // A label that occurs twice in the file is still an error.
    project.config(
        "[[apps]]\nlabel = \"gifts\"\nmigrations = \"gifts\"\n[[apps]]\nlabel = \"gifts\"\nmigrations = \"more\"\n",
    );
    host(&project, &["plan"]).exits(2).complains("two apps have the label `gifts`");
}

#[test]
fn an_unnamed_directory_is_no_app() {
    let project = project();
    project.file("migrations/V1__a.sql", "CREATE TABLE a (id INTEGER);\n");
    for config in ["", "[migrate]\nlock_wait = \"1m\"\n"] {
        project.config(config);
        let status = host(&project, &["plan", "--database-url", "sqlite::memory:"]).success();
        assert!(!status.stdout.contains("main"), "{status}");
    }
}

/// The code sets one transaction for all migrations. The file and the command line can
/// change this setting.
#[test]
fn options_take_precedence_over_the_file_and_the_file_over_code() {
    for (config, options, remains) in [
        ("", &[][..], false),
        ("[migrate]\ntransaction = \"each\"\n", &[], true),
        ("[migrate]\ntransaction = \"each\"\n", &["--transaction", "all"], false),
        ("", &["--transaction", "each"], true),
    ] {
        let project = project();
        let apps = "[[apps]]\nlabel = \"zebra\"\nmigrations = \"zebra\"\n";
        project.config(&format!("{config}{apps}")).file("zebra/V1__wrong.sql", "CREATE nonsense;\n");
        host(&project, &[&["migrate"], options].concat()).exits(1).complains("nonsense");
        let schema = project.sqlite_schema("app.db");
        assert_eq!(schema.contains("table price"), remains, "{config} {options:?}\n{schema}");
    }
}

#[test]
fn new_creates_files_only_for_apps_with_a_directory() {
    let project = project();
    let only = host(&project, &["new", "more"]).exits(2);
    project.config("[[apps]]\nlabel = \"gifts\"\nmigrations = \"gifts\"\n");
    let unsaid = host(&project, &["new", "more"]).exits(2);
    let compiled = host(&project, &["new", "more", "--app", "shop"]).exits(2);
    let json = host(&project, &["new", "more", "--app", "shop", "--json"]).exits(2);
    let unknown = host(&project, &["new", "more", "--app", "shopp"]).exits(2);
    assert!(project.files(".").len() == 2, "{:?}", project.files("."));
    let written = host(&project, &["new", "more", "--app", "gifts"]).success();
    assert_eq!(written.stdout, "created gifts/V1__more.sql\n");
    snapshot(&project, "new", &[only, unsaid, compiled, json, unknown]);
}

#[test]
fn the_command_starts_a_logger_unless_the_host_has_one() {
    let project = project();
    let quiet = host(&project, &["migrate"]).success();
    // The host's listener receives the steps too, besides the listener of the command.
    assert!(quiet.stderr.starts_with("the host saw step 1 end\n"), "{quiet}");
    host(&project, &["revert", "--steps", "1", "-v"]).success().complains(" INFO  bustard");
    let mut command = project.command_of(program(), &["migrate", "-q"]);
    command.env("HOST_LOGS", "1");
    let own = Outcome::of(command).success().complains("the host's log: ");
    assert!(!own.stderr.contains(" INFO "), "{own}");
}

/// The stand-alone command gives advice for migrations that only the host's command can
/// run.
#[test]
fn the_command_bustard_refers_to_the_command_of_the_host() {
    let project = project();
    project.file("migrations/V1__fill.rs", "pub fn migration() -> String { String::new() }\n");
    let outcome = project.bustard(&["migrate"]).exits(2).complains("bustard::cli::run");
    assert!(!project.path().join("app.db").exists());
    snapshot(&project, "rust", &[outcome]);
}

/// After a panic, the command ends as after any failure, and prints a JSON document.
#[test]
fn a_panic_is_a_failure() {
    let project = project();
    for json in [false, true] {
        let arguments: &[&str] = if json { &["migrate", "--json"] } else { &["migrate"] };
        let mut command = project.command_of(program(), arguments);
        command.env("HOST_PANICS", "1");
        let outcome = Outcome::of(command).exits(1).complains("tests/packages/host/program.rs");
        if json {
            assert_eq!(outcome.json()["error"]["message"], "panicked: no prices today", "{outcome}");
        } else {
            outcome.complains("error: panicked: no prices today");
        }
        assert!(host(&project, &["status"]).success().stdout.contains("pending"), "nothing was applied");
    }
    host(&project, &["migrate"]).success();
    assert_eq!(prices(&project), 2);
}
