//! Tests the example of Misago's documentation in Bustard's form: a plugin whose
//! migration depends on (`misago_core`, `0001_initial`) and tracks the cache
//! `misago_bans`, in one operation. It is installed, upgraded, reverted and
//! uninstalled, on both engines, from files and from code.

use crate::support::{Project, Scene};
use bustard::registry::{self, TrackedCache};
use bustard::{App, AppState, Database, ErrorKind, Migration, Migrator, Report, Revert, Uninstall};

fn core() -> App {
    let initial =
        Migration::new().sql("CREATE TABLE misago_user (id bigint PRIMARY KEY, name text NOT NULL)");
    let down = Migration::new().sql("DROP TABLE misago_user");
    App::new("misago_core").migration("V1__initial", initial.down(down))
}

/// The first release of the plugin, as a file.
const START: &str = "-- bustard: depends on misago_core V1\n-- bustard: register cache misago_bans\n";

/// The addition of the second release.
const TABLE: &str = "\
CREATE TABLE misago_ban (user_id bigint REFERENCES misago_user (id), reason text NOT NULL);
-- bustard: register cache misago_ban_reasons on misago_ban

-- bustard: down
DROP TABLE misago_ban;
";

/// Returns the releases of the plugin as directories of files.
fn in_files(project: &Project) -> [App; 2] {
    project.file("first/V1__start.sql", START);
    project.file("second/V1__start.sql", START).file("second/V2__table.sql", TABLE);
    ["first", "second"].map(|release| App::directory("misago_bans", project.path().join(release)))
}

/// Returns the releases of the plugin, built in code.
fn in_code(_: &Project) -> [App; 2] {
    let start = Migration::new().depends_on("misago_core", 1).register_cache("misago_bans");
    let table = Migration::new()
        .sql("CREATE TABLE misago_ban (user_id bigint REFERENCES misago_user (id), reason text NOT NULL)")
        .register_cache_on("misago_ban_reasons", ["misago_ban"])
        .down(Migration::new().sql("DROP TABLE misago_ban"));
    let first = App::new("misago_bans").migration("V1__start", start);
    [first.clone(), first.migration("V2__table", table)]
}

/// Returns the host's migrator, with this release of the plugin.
fn host(plugin: &App) -> Migrator {
    Migrator::new().app(plugin.clone()).app(core())
}

fn caches(database: &mut Database) -> Vec<TrackedCache> {
    registry::list(database).expect("the registry is there")
}

/// Goes through all steps on an empty database.
fn is_installed_upgraded_and_reverted(database: &mut Database, [first, second]: &[App; 2]) {
    // Without the core, nothing is applied. With the core, the migrations of the core come
    // first.
    let alone = Migrator::new().app(first.clone()).run(database).expect_err("the core is missing");
    assert_eq!(alone.kind(), ErrorKind::Source);
    assert!(alone.to_string().contains("misago_core"), "{alone}");
    let report = host(first).run(database).expect("it is installed");
    assert_eq!(steps(&report), ["misago_core:V1__initial", "misago_bans:V1__start"]);
    assert_eq!(
        report.steps.last().map(|done| done.registered.as_slice()),
        Some(&["misago_bans".to_owned()][..])
    );
    let installed = caches(database);
    assert_eq!(owned(&installed), ["misago_bans of misago_bans"]);

    // An upgrade invalidates values that were cached before it.
    let report = host(second).run(database).expect("it is upgraded");
    assert_eq!(steps(&report), ["misago_bans:V2__table"]);
    let upgraded = caches(database);
    assert_eq!(owned(&upgraded), ["misago_ban_reasons of misago_bans", "misago_bans of misago_bans"]);
    assert!(upgraded[1].version > installed[0].version, "{installed:?}, then {upgraded:?}");
    assert!(!host(second).run(database).expect("nothing is pending").changed());

    // Reverts to the first release, and then reverts all migrations of the plugin. The core
    // stays.
    let back = |database: &mut Database, version| {
        let to = Revert::To { app: "misago_bans".to_owned(), version };
        host(second).revert(database, &to).expect("the revert succeeds")
    };
    assert_eq!(steps(&back(database, 1)), ["misago_bans:V2__table"]);
    assert_eq!(owned(&caches(database)), ["misago_bans of misago_bans"]);
    assert_eq!(steps(&back(database, 0)), ["misago_bans:V1__start"]);
    assert_eq!(owned(&caches(database)), [""; 0]);
    let error = registry::get_version(database, "misago_bans").expect_err("it is not tracked any more");
    assert_eq!(error.kind(), ErrorKind::Cache);
    let status = host(second).status(database).expect("the histories are readable");
    let applied = status.migrations.iter().filter(|migration| migration.applied_on.is_some());
    let applied: Vec<_> =
        applied.map(|migration| migration.app.as_str()).filter(|app| *app != "bustard").collect();
    assert_eq!(applied, ["misago_core"]);

    // A version that was valid before the revert does not become valid again.
    host(second).run(database).expect("it is installed again");
    let again = caches(database);
    assert_eq!(owned(&again), owned(&upgraded));
    assert!(again[1].version > upgraded[1].version, "{upgraded:?}, then {again:?}");
}

/// Uninstalls the plugin after its code was removed. The database is in the state that the
/// previous function leaves.
fn is_uninstalled(scene: &Scene, database: &mut Database, [first, _]: &[App; 2]) {
    scene.execute("INSERT INTO misago_user (id, name) VALUES (1, 'Ann'), (2, 'Bob')");
    scene.execute("INSERT INTO misago_ban (user_id, reason) VALUES (1, 'spam'), (2, 'spam')");
    let without = Migrator::new().app(core());

    let needed = without.plan_uninstall(database, &Uninstall::new("misago_core")).expect("it is planned");
    assert!(!needed.obstacles.is_empty(), "the plugin needs the core: {needed:?}");
    assert_eq!(
        needed.dependants.iter().map(|dependant| dependant.app.as_str()).collect::<Vec<_>>(),
        ["misago_bans"]
    );
    without.uninstall(database, &needed).expect_err("a needed app stays");

    let plan = without.plan_uninstall(database, &Uninstall::new("misago_bans")).expect("it is planned");
    assert!(plan.obstacles.is_empty() && plan.dependants.is_empty(), "{plan:?}");
    assert_eq!(plan.caches, ["misago_ban_reasons", "misago_bans"]);
    let tables: Vec<_> =
        plan.tables.iter().map(|table| (table.table.rsplit('.').next(), table.rows)).collect();
    assert_eq!(tables, [(Some("misago_ban"), 2)]);
    let report = without.uninstall(database, &plan).expect("it is uninstalled");
    assert_eq!(steps(&report), ["misago_bans:V2__table", "misago_bans:V1__start"]);
    let states: Vec<_> = report.apps.iter().map(|change| (change.app.as_str(), change.state)).collect();
    assert_eq!(states, [("misago_bans", AppState::NotInstalled)]);
    assert_eq!(owned(&caches(database)), [""; 0]);
    assert_eq!(scene.value("SELECT CAST(count(*) AS text) FROM misago_user"), "2");

    // A new installation begins like the first installation.
    let report = host(first).run(database).expect("it is installed again");
    assert_eq!(steps(&report), ["misago_bans:V1__start"]);
    assert_eq!(owned(&caches(database)), ["misago_bans of misago_bans"]);
}

fn steps(report: &Report) -> Vec<String> {
    let steps = report.steps.iter().filter(|done| done.app != "bustard");
    steps.map(|done| format!("{}:{}", done.app, done.migration)).collect()
}

fn owned(caches: &[TrackedCache]) -> Vec<String> {
    let owner = |cache: &TrackedCache| cache.app.clone().unwrap_or_default();
    caches.iter().map(|cache| format!("{} of {}", cache.name, owner(cache))).collect()
}

fn on(scene: &Scene, releases: fn(&Project) -> [App; 2]) {
    let url = if scene.is_postgres() { scene.url() } else { scene.project.sqlite_url("app.db") };
    let mut database = Database::new(&url).expect("the URL is valid").create_missing(true);
    let releases = releases(&scene.project);
    is_installed_upgraded_and_reverted(&mut database, &releases);
    is_uninstalled(scene, &mut database, &releases);
}

#[test]
fn in_files_on_sqlite() {
    on(&Scene::sqlite(), in_files);
}

#[test]
fn in_files_on_postgres() {
    on(&Scene::postgres(), in_files);
}

#[test]
fn in_code_on_sqlite() {
    on(&Scene::sqlite(), in_code);
}

#[test]
fn in_code_on_postgres() {
    on(&Scene::postgres(), in_code);
}
