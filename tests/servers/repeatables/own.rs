//! Tests Bustard's own functions and views: they are installed when their text has changed,
//! are never replaced by an older release, and are restored after a manual change.

use super::{bustard, invalidations, records};
use crate::support::Scene;

/// Creates a database with a cache.
fn migrated(scene: &Scene) {
    scene.file("V1__x.sql", "CREATE TABLE x (id INTEGER);\n-- bustard: register cache xs on x\n");
    scene.migrate(&[]).success();
}

/// Returns a function or view of the engine, and a text of it that another release may have
/// had.
fn other_text(scene: &Scene) -> (&'static str, &'static str) {
    match scene.is_postgres() {
        true => (
            "is_valid",
            "CREATE OR REPLACE FUNCTION bustard.is_valid(name text, version bigint) RETURNS boolean \
             LANGUAGE sql STABLE PARALLEL SAFE AS 'SELECT NULL::boolean'",
        ),
        false => (
            "missing_triggers",
            "DROP VIEW bustard_missing_triggers; \
             CREATE VIEW bustard_missing_triggers (cache, table_name, why) AS SELECT '', '', '' WHERE 0",
        ),
    }
}

/// Reports whether the function has its own text again.
fn is_restored(scene: &Scene) -> bool {
    match scene.is_postgres() {
        true => scene.value("SELECT bustard.is_valid('xs', bustard.get_version('xs'))::text") == "true",
        false => scene.value(
            "SELECT sql LIKE '%bustard_located%' FROM sqlite_master WHERE name = 'bustard_missing_triggers'",
        ) == "1",
    }
}

/// Changes the database to the state that a release of another edition would have
/// left.
fn as_of_edition(scene: &Scene, edition: i32) -> &'static str {
    let (name, sql) = other_text(scene);
    scene.execute(sql);
    let definition = match scene.is_postgres() {
        true => "NULL".to_owned(),
        false => "(SELECT sql FROM sqlite_master WHERE name = 'bustard_missing_triggers')".to_owned(),
    };
    scene.execute(&format!(
        "UPDATE {} SET checksum = 'other', edition = {edition}, definition = {definition} \
         WHERE app = 'bustard' AND name = '{name}'",
        records(scene)
    ));
    name
}

/// Returns the names of Bustard's own migrations that a run applied.
pub fn own_steps(outcome: &crate::support::Outcome) -> Vec<String> {
    let json = outcome.json();
    let steps = json["steps"].as_array().expect("a list").iter();
    steps.map(|step| step["migration"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn a_newer_text_is_installed_invalidates_and_is_recorded() {
    for scene in Scene::both() {
        migrated(&scene);
        let name = as_of_edition(&scene, 0);
        let before = invalidations(&scene, "xs");
        bustard(&scene, &["check"]).exits(3).says("own tables  pending");
        let run = scene.migrate(&["--json"]).success();
        assert_eq!(own_steps(&run), [format!("R__{name}")]);
        assert_eq!(run.json()["warnings"], serde_json::json!([]));
        assert!(is_restored(&scene));
        assert_eq!(invalidations(&scene, "xs"), before + 1);
        let current = if scene.is_postgres() { "is_current" } else { "is_current = 1" };
        let table = records(&scene);
        let record = format!(
            "SELECT count(*) FROM {table} WHERE app = 'bustard' AND name = '{name}' AND {current} AND checksum <> 'other' AND edition = 1"
        );
        assert_eq!(scene.value(&record), "1");
        let contents = scene.contents();
        scene.migrate(&[]).success().says("nothing to do");
        assert_eq!(scene.contents(), contents);
    }
}

/// A release with a lower edition works with the newer functions and reports nothing.
#[test]
fn an_older_release_replaces_no_function() {
    for scene in Scene::both() {
        migrated(&scene);
        as_of_edition(&scene, 99);
        let contents = scene.contents();
        bustard(&scene, &["check"]).success();
        scene.migrate(&[]).success().says("nothing to do");
        assert_eq!(scene.contents(), contents);
        scene.file("V2__y.sql", "CREATE TABLE y (id INTEGER);\n");
        let run = scene.migrate(&["--json"]).success();
        assert_eq!(own_steps(&run), ["V2__y"]);
        assert!(!is_restored(&scene));
    }
}

#[test]
fn an_edited_function_is_restored_and_reported() {
    for scene in Scene::both() {
        migrated(&scene);
        let (name, sql) = other_text(&scene);
        scene.execute(sql);
        let before = invalidations(&scene, "xs");
        bustard(&scene, &["check"]).exits(3).says("own tables  pending");
        let run = scene.migrate(&[]).success();
        run.complains(&format!("bustard:R__{name} is not what the database has: it was changed there"));
        assert!(is_restored(&scene));
        assert_eq!(invalidations(&scene, "xs"), before + 1);
        scene.migrate(&[]).success().says("nothing to do");
    }
}

#[test]
fn a_dropped_function_is_restored() {
    for scene in Scene::both() {
        migrated(&scene);
        let drop = match scene.is_postgres() {
            // One of the dropped functions is called by the migrator itself.
            true => "DROP FUNCTION bustard.missing_triggers(); DROP VIEW bustard.caches",
            false => "DROP VIEW bustard_missing_triggers; DROP VIEW bustard_caches",
        };
        scene.execute(drop);
        let run = scene.migrate(&["--json"]).success();
        assert_eq!(own_steps(&run), ["R__caches", "R__missing_triggers"]);
        bustard(&scene, &["check"]).success();
        if scene.is_postgres() {
            let database = scene.database();
            let role = database.create_role("reader", "");
            database.psql_as(&role, "SELECT count(*) FROM bustard.caches").exits(1);
        }
    }
}

/// A re-installation leaves the privileges as they are.
#[test]
fn privileges_survive_an_installation() {
    let scene = Scene::postgres();
    migrated(&scene);
    let database = scene.database();
    let (reader, other) = (database.create_role("reader", ""), database.create_role("other", ""));
    scene.project.config(&format!(
        "[registry]\ngrant = [\"{reader}\"]\n[[apps]]\nlabel = \"main\"\nmigrations = \"migrations\"\n"
    ));
    scene.migrate(&[]).success();
    let valid = "SELECT bustard.is_valid('xs', 1)";
    database.psql_as(&reader, valid).success();
    database.psql_as(&other, valid).exits(1);
    // In this run, the configuration has no `grant`.
    scene.project.config("[[apps]]\nlabel = \"main\"\nmigrations = \"migrations\"\n");
    as_of_edition(&scene, 0);
    scene.migrate(&[]).success().says("own tables  updated");
    assert!(is_restored(&scene));
    database.psql_as(&reader, valid).success();
    database.psql_as(&other, valid).exits(1);
    assert_eq!(
        scene.value(
            "SELECT count(*) FROM pg_proc WHERE pronamespace = 'bustard'::regnamespace AND proacl IS NULL"
        ),
        "0"
    );
}

/// Only the owner may replace Bustard's functions. A role without that right gets an
/// error before anything runs, and may migrate as long as no function must change.
#[test]
fn a_role_that_does_not_own_the_functions() {
    let scene = Scene::postgres();
    migrated(&scene);
    let database = scene.database();
    let guest = database.create_role("guest", "");
    scene.execute(&format!(
        "CREATE SCHEMA guest AUTHORIZATION {guest}; ALTER ROLE {guest} SET search_path = guest;
         GRANT SELECT ON bustard.refinery_schema_history_bustard TO {guest}"
    ));
    let url = database.url_as(&guest);
    scene.project.config("[[apps]]\nlabel = \"own\"\nmigrations = \"own\"\n");
    scene.project.file("own/V1__own.sql", "CREATE TABLE own (x INTEGER);\n");
    let migrate = || scene.project.bustard(&["migrate", "--database-url", &url]);
    migrate().success();
    as_of_edition(&scene, 0);
    scene.project.file("own/V2__more.sql", "CREATE TABLE more (x INTEGER);\n");
    let owner =
        scene.value("SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'bustard.cache'::regclass");
    let contents = scene.contents();
    let refused = migrate().exits(1);
    assert!(refused.stderr.contains(&format!("they belong to the role {owner}")), "{refused}");
    assert_eq!(scene.contents(), contents);
    // A member of the owning role may replace them, and the owner stays the owner.
    scene.execute(&format!("GRANT {owner} TO {guest}"));
    migrate().success();
    let owners = "SELECT count(DISTINCT proowner) FROM pg_proc WHERE pronamespace = 'bustard'::regnamespace";
    assert_eq!(scene.value(owners), "1");
    // For a repeatable migration of its own app, the guest needs rights on the table of
    // records.
    scene.execute(&format!("REVOKE {owner} FROM {guest}"));
    scene.project.file("own/R__view.sql", "CREATE OR REPLACE VIEW own_view AS SELECT 1 AS x;\n");
    let refused = migrate().exits(1);
    assert!(refused.stderr.contains("own:R__view cannot be recorded"), "{refused}");
    scene.execute(&format!("GRANT SELECT, INSERT, UPDATE ON bustard.repeatable TO {guest}"));
    migrate().success();
    migrate().success().says("nothing to do");
}
