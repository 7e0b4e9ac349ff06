//! Tests caches that are registered with `register cache NAME on TABLE`. Statements that
//! write to a table invalidate the cache, and other statements do not. A run finds tables
//! that were rebuilt, renamed or partitioned.

mod faults;
mod forms;
mod identity;
mod partitions;
mod privileges;
mod refusals;
mod registering;
mod restore;
mod sources;
mod writes;

use crate::support::{Outcome, Scene};

/// Returns the number of invalidations that the version of a cache counts.
#[track_caller]
pub fn count(scene: &Scene, cache: &str) -> i64 {
    let version = match scene.is_postgres() {
        true => format!("SELECT bustard.get_version('{cache}')"),
        false => format!("SELECT version FROM bustard_caches WHERE name = '{cache}'"),
    };
    scene.value(&version).parse::<i64>().expect("a version is a number") >> 23
}

/// Returns the number of invalidations of the cache by these statements.
#[track_caller]
pub fn counted(scene: &Scene, cache: &str, sql: &str) -> i64 {
    let before = count(scene, cache);
    scene.execute(sql);
    count(scene, cache) - before
}

/// Reports whether these statements invalidate the cache.
#[track_caller]
pub fn invalidates(scene: &Scene, cache: &str, sql: &str) -> bool {
    counted(scene, cache, sql) > 0
}

/// Creates a scene on each engine, and applies `sql` as its first migration.
pub fn both_with(sql: &str) -> [Scene; 2] {
    Scene::both().map(|scene| {
        migrated(&scene, "V1__first.sql", sql);
        scene
    })
}

/// Creates a scene on PostgreSQL, and applies `sql` as its first migration.
pub fn postgres_with(sql: &str) -> Scene {
    let scene = Scene::postgres();
    migrated(&scene, "V1__first.sql", sql);
    scene
}

/// Writes a migration and applies it.
#[track_caller]
pub fn migrated(scene: &Scene, name: &str, sql: &str) -> Outcome {
    scene.file(name, sql).migrate(&[]).success()
}

/// Runs a command on the scene's database.
pub fn bustard(scene: &Scene, arguments: &[&str]) -> Outcome {
    scene.project.bustard(&[arguments, &["--database-url", &scene.url()]].concat())
}

/// Returns the tables that `bustard caches` lists for a cache, without the schema `public`.
/// Asserts that `status` lists the same.
#[track_caller]
pub fn tables(scene: &Scene, cache: &str) -> Vec<String> {
    let listed = |command: &str| {
        let document = bustard(scene, &[command, "--json"]).success().json();
        let caches = document["caches"].as_array().expect("it is a list").clone();
        let row = caches.into_iter().find(|row| row["name"] == cache).expect("it is registered");
        let tables = row["tables"].as_array().expect("it is a list").iter();
        tables.map(|table| table.as_str().expect("it is text").replace("public.", "")).collect::<Vec<_>>()
    };
    assert_eq!(listed("caches"), listed("status"));
    listed("caches")
}

/// Returns the table and the reason of each missing trigger that `bustard status` lists.
#[track_caller]
pub fn missing_triggers(scene: &Scene) -> Vec<(String, String)> {
    let document = bustard(scene, &["status", "--json"]).success().json();
    let rows = document["missing_triggers"].as_array().expect("it is a list");
    let text = |row: &serde_json::Value, key: &str| row[key].as_str().expect("it is text").to_owned();
    rows.iter().map(|row| (text(row, "table"), text(row, "why"))).collect()
}

/// Asserts that `migrate` with nothing pending restores triggers on this many tables, and
/// that a second run has nothing to do. A run cannot restore a table that is gone, so `check`
/// goes on reporting it.
#[track_caller]
pub fn retracks(scene: &Scene, tables: usize) {
    let missing = missing_triggers(scene);
    let gone = missing.iter().filter(|(_, why)| why == "gone").count();
    assert_eq!(missing.len() - gone, tables, "{missing:?}");
    let code = |complete: bool| if complete { 0 } else { 3 };
    bustard(scene, &["check"]).exits(code(missing.is_empty()));
    let report = scene.migrate(&["--json"]).success().json();
    assert_eq!(report["restored_triggers"].as_array().map(Vec::len), Some(tables), "{report}");
    assert_eq!(report["changed"], tables > 0, "{report}");
    let again = scene.migrate(&["--json"]).success().json();
    assert_eq!(again["changed"], false, "{again}");
    bustard(scene, &["check"]).exits(code(gone == 0));
}

/// Returns the function that the triggers of a table in the schema `public` call.
pub fn function(scene: &Scene, table: &str) -> String {
    let sql = format!("SELECT bustard.function_name('public', '{}')", table.replace('\'', "''"));
    format!("bustard.{}", scene.value(&sql))
}

/// Returns Bustard's triggers in the database, as `table name`.
pub fn triggers(scene: &Scene) -> Vec<String> {
    let sql = match scene.is_postgres() {
        true => {
            "SELECT coalesce(string_agg(tgrelid::regclass || ' ' || tgname, ',' ORDER BY 1), '') \
             FROM pg_trigger WHERE tgname LIKE 'bustard!_%' ESCAPE '!'"
        }
        false => {
            "SELECT coalesce(group_concat(tbl_name || ' ' || name, ','), '') \
             FROM sqlite_master WHERE type = 'trigger' AND name GLOB 'bustard_[0-9]*'"
        }
    };
    let sql = sql.replace("ORDER BY 1", "ORDER BY tgrelid::regclass::text, tgname");
    scene.value(&sql).split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}
