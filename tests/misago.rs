//! The example of Misago's documentation in Bustard's words: a plugin whose migration
//! depends on (`misago_core`, `0001_initial`) and starts to track the cache
//! `misago_bans`, in one operation. It is installed, upgraded and taken back, on both
//! engines, from files and from code.

mod support;

use bustard::registry::{self, TrackedCache};
use bustard::{App, Database, ErrorKind, Migration, Migrator, Report, Revert};
use support::Project;

fn core() -> App {
    let initial =
        Migration::new().sql("CREATE TABLE misago_user (id bigint PRIMARY KEY, name text NOT NULL)");
    let down = Migration::new().sql("DROP TABLE misago_user");
    App::new("misago_core").migration("V1__initial", initial.down(down))
}

/// The plugin's first release, as a file.
const START: &str = "-- bustard: depends on misago_core V1\n-- bustard: register cache misago_bans\n";

/// What the second release adds.
const TABLE: &str = "\
CREATE TABLE misago_ban (user_id bigint REFERENCES misago_user (id), reason text NOT NULL);
-- bustard: register cache misago_ban_reasons on misago_ban

-- bustard: down
DROP TABLE misago_ban;
";

/// The releases of the plugin as directories of files.
fn in_files(project: &Project) -> [App; 2] {
    project.file("first/V1__start.sql", START);
    project.file("second/V1__start.sql", START).file("second/V2__table.sql", TABLE);
    ["first", "second"].map(|release| App::directory("misago_bans", project.path().join(release)))
}

/// The same in code.
fn in_code(_: &Project) -> [App; 2] {
    let start = Migration::new().depends_on("misago_core", 1).register_cache("misago_bans");
    let table = Migration::new()
        .sql("CREATE TABLE misago_ban (user_id bigint REFERENCES misago_user (id), reason text NOT NULL)")
        .register_cache_on("misago_ban_reasons", ["misago_ban"])
        .down(Migration::new().sql("DROP TABLE misago_ban"));
    let first = App::new("misago_bans").migration("V1__start", start);
    [first.clone(), first.migration("V2__table", table)]
}

/// One after the other on a database, which is empty.
fn is_installed_upgraded_and_taken_back(database: &mut Database, [first, second]: [App; 2]) {
    let host = |plugin: &App| Migrator::new().app(plugin.clone()).app(core());
    let caches = |database: &mut Database| registry::list(database).expect("the registry is there");

    // Without the core nothing is done; with it, it comes first.
    let alone = Migrator::new().app(first.clone()).run(database).expect_err("the core is missing");
    assert_eq!(alone.kind(), ErrorKind::Source);
    assert!(alone.to_string().contains("misago_core"), "{alone}");
    let report = host(&first).run(database).expect("it is installed");
    assert_eq!(steps(&report), ["misago_core:V1__initial", "misago_bans:V1__start"]);
    assert_eq!(
        report.steps.last().map(|done| done.registered.as_slice()),
        Some(&["misago_bans".to_owned()][..])
    );
    let installed = caches(database);
    assert_eq!(owned(&installed), ["misago_bans of misago_bans"]);

    // An upgrade makes what was cached before it out of date.
    let report = host(&second).run(database).expect("it is upgraded");
    assert_eq!(steps(&report), ["misago_bans:V2__table"]);
    let upgraded = caches(database);
    assert_eq!(owned(&upgraded), ["misago_ban_reasons of misago_bans", "misago_bans of misago_bans"]);
    assert!(upgraded[1].version > installed[0].version, "{installed:?}, then {upgraded:?}");
    assert!(!host(&second).run(database).expect("nothing is to be done").changed());

    // Back to the first release, then to none; the core stays.
    let back = |database: &mut Database, version| {
        let to = Revert::To { app: "misago_bans".to_owned(), version };
        host(&second).revert(database, &to).expect("it is taken back")
    };
    assert_eq!(steps(&back(database, 1)), ["misago_bans:V2__table"]);
    assert_eq!(owned(&caches(database)), ["misago_bans of misago_bans"]);
    assert_eq!(steps(&back(database, 0)), ["misago_bans:V1__start"]);
    assert_eq!(owned(&caches(database)), [""; 0]);
    let error = registry::get_version(database, "misago_bans").expect_err("it is not tracked any more");
    assert_eq!(error.kind(), ErrorKind::Cache);
    let status = host(&second).status(database).expect("the histories are readable");
    let applied = status.migrations.iter().filter(|migration| migration.applied_on.is_some());
    let applied: Vec<_> =
        applied.map(|migration| migration.app.as_str()).filter(|app| *app != "bustard").collect();
    assert_eq!(applied, ["misago_core"]);

    // What was valid once is not again.
    host(&second).run(database).expect("it is installed again");
    let again = caches(database);
    assert_eq!(owned(&again), owned(&upgraded));
    assert!(again[1].version > upgraded[1].version, "{upgraded:?}, then {again:?}");
}

fn steps(report: &Report) -> Vec<String> {
    let steps = report.steps.iter().filter(|done| done.app != "bustard");
    steps.map(|done| format!("{}:{}", done.app, done.migration)).collect()
}

fn owned(caches: &[TrackedCache]) -> Vec<String> {
    let owner = |cache: &TrackedCache| cache.app.clone().unwrap_or_default();
    caches.iter().map(|cache| format!("{} of {}", cache.name, owner(cache))).collect()
}

fn on_sqlite(releases: fn(&Project) -> [App; 2]) {
    let project = Project::new();
    let database = Database::new(&project.sqlite_url("misago.sqlite")).expect("the URL is valid");
    is_installed_upgraded_and_taken_back(&mut database.create_missing(true), releases(&project));
}

fn on_postgres(releases: fn(&Project) -> [App; 2]) {
    let (project, server) = (Project::new(), support::Database::new());
    let mut database = Database::new(&server.url()).expect("the URL is valid");
    is_installed_upgraded_and_taken_back(&mut database, releases(&project));
}

#[test]
fn in_files_on_sqlite() {
    on_sqlite(in_files);
}

#[test]
fn in_files_on_postgres() {
    on_postgres(in_files);
}

#[test]
fn in_code_on_sqlite() {
    on_sqlite(in_code);
}

#[test]
fn in_code_on_postgres() {
    on_postgres(in_code);
}
