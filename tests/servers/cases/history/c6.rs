//! Row C6: a registry that does not match what applied migrations have registered is put
//! right by the next run.

use crate::support::{Binaries, Database, Outcome, Scene};

fn installed(scene: &Scene) {
    scene
        .file("V1__users.sql", "CREATE TABLE users (id integer);\n-- bustard: register cache users on users\n")
        .file("V2__posts.sql", "CREATE TABLE posts (id integer);\n-- bustard: register cache posts on posts\n-- bustard: register cache other\n");
    scene.migrate(&[]).exits(0);
}

fn check(scene: &Scene) -> Option<i32> {
    scene.project.bustard(&["check", "--database-url", &scene.url()]).code
}

fn version(scene: &Scene, cache: &str) -> String {
    let outcome = scene.project.bustard(&["--json", "caches", "get", cache, "--database-url", &scene.url()]);
    outcome.exits(0).json()["version"].to_string()
}

/// Asserts that the next run puts everything right, once.
#[track_caller]
fn is_put_right(scene: &Scene, what: &str) {
    assert_eq!(check(scene), Some(3), "{what}: check before");
    let outcome = scene.migrate(&[]);
    assert_eq!(outcome.code, Some(0), "{what}: {outcome}");
    assert!(!outcome.stdout.contains("nothing to do"), "{what}: {outcome}");
    assert!(outcome.stdout.contains("caches invalidated"), "{what}: {outcome}");
    assert_eq!(check(scene), Some(0), "{what}: check after");
    scene.migrate(&[]).exits(0).says("nothing to do");
    for (cache, table) in [("users", "users"), ("posts", "posts")] {
        let before = version(scene, cache);
        scene.execute(&format!("INSERT INTO {table} VALUES (7)"));
        assert_ne!(version(scene, cache), before, "{what}: {cache} is not tracked");
    }
    let registry = if scene.is_postgres() { "bustard.cache" } else { "bustard_cache" };
    let owned = format!(
        "SELECT count(*) FROM {registry} WHERE app = 'main' AND active = {}",
        if scene.is_postgres() { "true" } else { "1" }
    );
    assert_eq!(scene.value(&owned), "3", "{what}");
}

const DAMAGE: &[(&str, &str, Option<&str>)] = &[
    ("the schema dropped", "DROP SCHEMA bustard CASCADE", None),
    (
        "a cache deleted",
        "DELETE FROM bustard.cache WHERE name = 'users'",
        Some("DELETE FROM bustard_cache WHERE name = 'users'"),
    ),
    ("all caches deleted", "DELETE FROM bustard.cache", Some("DELETE FROM bustard_cache")),
    (
        "caches and tables deleted",
        "TRUNCATE bustard.cache, bustard.source",
        Some("DELETE FROM bustard_cache; DELETE FROM bustard_cache_source; DELETE FROM bustard_source"),
    ),
    ("owners lost", "UPDATE bustard.cache SET app = NULL", Some("UPDATE bustard_cache SET app = NULL")),
    (
        "unregistered by hand",
        "SELECT bustard.unregister_cache('posts')",
        Some("UPDATE bustard_cache SET active = 0 WHERE name = 'posts'"),
    ),
    ("sums deleted", "TRUNCATE bustard.base", None),
    ("events dropped", "DROP TABLE bustard.event CASCADE", None),
    ("sums dropped", "DROP TABLE bustard.base CASCADE", None),
    ("caches dropped", "DROP TABLE bustard.cache CASCADE", Some("DROP TABLE bustard_cache")),
    ("tracked tables dropped", "DROP TABLE bustard.source CASCADE", Some("DROP TABLE bustard_source")),
    ("apps dropped", "DROP TABLE bustard.app", Some("DROP TABLE bustard_app")),
    ("records dropped", "DROP TABLE bustard.migration", Some("DROP TABLE bustard_migration")),
    ("identity deleted", "DELETE FROM bustard.database", Some("DELETE FROM bustard_database")),
    ("identity dropped", "DROP TABLE bustard.database", Some("DROP TABLE bustard_database")),
    ("repeatables dropped", "DROP TABLE bustard.repeatable", Some("DROP TABLE bustard_repeatable")),
    (
        "our history dropped",
        "DROP TABLE bustard.refinery_schema_history_bustard",
        Some("DROP TABLE refinery_schema_history_bustard"),
    ),
];

#[test]
fn c6_a_damaged_registry_is_put_right() {
    for (what, postgres, sqlite) in DAMAGE {
        for scene in Scene::both() {
            let sql = if scene.is_postgres() { Some(*postgres) } else { *sqlite };
            let Some(sql) = sql else { continue };
            installed(&scene);
            scene.execute(sql);
            is_put_right(&scene, &format!("{what} on {}", scene.engine));
        }
    }
}

fn dump(from: &Database<'_>, options: &[&str]) -> String {
    let mut dump = Binaries::find().client_command("pg_dump");
    dump.args(options).arg("--dbname").arg(from.url());
    Outcome::of(dump).success().stdout
}

fn restore(into: &Scene, sql: &str) {
    into.project.file("dump.sql", sql);
    into.database().psql_file(&into.project.path().join("dump.sql")).success();
}

/// The tables and their history come back as they were before V2, and the registry does not.
#[test]
fn c6_the_history_goes_back_and_the_registry_does_not() {
    let scene = Scene::postgres();
    scene.file(
        "V1__users.sql",
        "CREATE TABLE users (id integer);\n-- bustard: register cache users on users\n",
    );
    scene.migrate(&[]).exits(0);
    let old = dump(scene.database(), &["-n", "public", "--clean"]);
    installed(&scene);
    scene.execute("DROP TABLE posts");
    restore(&scene, &old);
    is_put_right(&scene, "an older schema public");
}

/// Only the tables and their history are restored in a new database.
#[test]
fn c6_a_restored_public_schema() {
    let scene = Scene::postgres();
    installed(&scene);
    let sql = dump(scene.database(), &["-n", "public", "--clean", "--if-exists", "--no-owner"]);
    let copy = Scene::postgres();
    // The triggers call a function that is not there.
    let sql: String = sql
        .lines()
        .filter(|line| !line.contains("EXECUTE FUNCTION bustard."))
        .map(|line| format!("{line}\n"))
        .collect();
    restore(&copy, &sql);
    copy.file("V1__users.sql", scene.project.read("migrations/V1__users.sql"));
    copy.file("V2__posts.sql", scene.project.read("migrations/V2__posts.sql"));
    is_put_right(&copy, "a restored schema public");
}

/// A dump without rows has our tables, and they are empty.
#[test]
fn c6_a_dump_without_rows_is_taken_over() {
    let scene = Scene::postgres();
    installed(&scene);
    let sql = dump(scene.database(), &["--schema-only"]);
    let copy = Scene::postgres();
    restore(&copy, &sql);
    copy.file("V1__users.sql", scene.project.read("migrations/V1__users.sql"));
    copy.file("V2__posts.sql", scene.project.read("migrations/V2__posts.sql"));
    copy.migrate(&[]).exits(1).complains("relation \"users\" already exists").complains("migrate --fake");
    copy.migrate(&["--fake"]).exits(0);
    assert_eq!(check(&copy), Some(0));
    let before = version(&copy, "users");
    copy.execute("INSERT INTO users VALUES (1)");
    assert_ne!(version(&copy, "users"), before);
}
