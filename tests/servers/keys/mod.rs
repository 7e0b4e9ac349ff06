//! Tests caches that are registered `on TABLE by COLUMN`: a write invalidates the keys of
//! the rows that it changes, and no others (but for keys that share a bucket).

mod api;
mod changes;
mod columns;
mod faults;
mod generated;
mod handles;
mod looks;
mod refusals;
mod statements;

use std::collections::BTreeSet;

use crate::support::Scene;
use crate::triggers::postgres_with;

/// A table with a key, a table without one, and a cache that counts whole tables.
const MEMBERSHIP: &str = "CREATE TABLE membership (id serial PRIMARY KEY, user_id integer, role text);
CREATE TABLE role (name text PRIMARY KEY);
-- bustard: register cache permissions on membership by user_id, role
-- bustard: register cache members on membership
";

/// Returns the version of the whole cache, and those of keys. A key is an SQL expression.
#[track_caller]
fn versions(scene: &Scene, cache: &str, keys: &[&str]) -> Vec<i64> {
    let all = keys.iter().map(|key| format!("bustard.get_version('{cache}', {key})"));
    let all: Vec<String> = std::iter::once(format!("bustard.get_version('{cache}')")).chain(all).collect();
    let row = scene.value(&format!("SELECT concat_ws(' ', {})", all.join(", ")));
    row.split(' ').map(|version| version.parse().expect("a version is a number")).collect()
}

/// Returns which of the keys these statements give new versions. Asserts that the whole
/// cache has a new version if and only if a key has.
#[track_caller]
fn touched<'k>(scene: &Scene, cache: &str, keys: &[&'k str], sql: &str) -> BTreeSet<&'k str> {
    let before = versions(scene, cache, keys);
    scene.execute(sql);
    let after = versions(scene, cache, keys);
    assert!(after.iter().zip(&before).all(|(after, before)| after >= before), "{sql}: {before:?} {after:?}");
    let touched: BTreeSet<&str> = keys
        .iter()
        .zip(before.iter().zip(&after).skip(1))
        .filter(|(_, (b, a))| a != b)
        .map(|(key, _)| *key)
        .collect();
    assert!(touched.is_empty() || before[0] != after[0], "{sql}");
    touched
}

/// Asserts which of the keys these statements invalidate.
#[track_caller]
fn touches(scene: &Scene, cache: &str, keys: &[&str], sql: &str, expected: &[&str]) {
    assert_eq!(touched(scene, cache, keys, sql), expected.iter().copied().collect(), "{sql}");
}

/// Returns the SQLSTATE with which the server refuses a statement.
#[track_caller]
fn refused(scene: &Scene, sql: &str) -> String {
    let error = scene.database().client().batch_execute(sql).expect_err(sql);
    error.code().unwrap_or_else(|| panic!("{sql}: {error}")).code().to_owned()
}
