//! Looks by delta: a process that lives on changes of buckets knows what one that reads all of
//! them knows, also if a look has missed a change.

use bustard::{CacheBuster, KeyVersion, KeyedCache};

use super::handles::{buster, keyed};
use super::{MEMBERSHIP, postgres_with};
use crate::support::{Random, Scene};

const SNAPSHOT: &str = include_str!("../../../migrations/R__snapshot_keys.postgres.sql");
const FOLD: &str = include_str!("../../../migrations/R__fold.postgres.sql");

/// Counts the keys whose versions a process does not have, of keys that were written and not.
fn wrong(scene: &Scene, permissions: &KeyedCache<i64>) -> usize {
    let rows = scene
        .database()
        .client()
        .query(
            "SELECT k, bustard.get_version('permissions', k) FROM generate_series(0::bigint, 80) AS k",
            &[],
        )
        .expect("it answers");
    let is_wrong =
        |row: &&postgres::Row| permissions.version(&row.get(0)).ok().map(KeyVersion::get) != Some(row.get(1));
    rows.iter().filter(is_wrong).count()
}

fn step(random: &mut Random, scene: &Scene) {
    let user = random.below(80);
    scene.execute(&match random.below(9) {
        0 => format!("SELECT bustard.invalidate_key('permissions', {user})"),
        1 => "SELECT bustard.invalidate('permissions')".to_owned(),
        2 => format!("DELETE FROM membership WHERE user_id = {user}"),
        3 => format!("UPDATE membership SET user_id = {user} WHERE user_id = {}", random.below(80)),
        4 => "INSERT INTO role VALUES (random()::text)".to_owned(),
        5 | 6 => "SELECT bustard.fold()".to_owned(),
        _ => format!("INSERT INTO membership (user_id) VALUES ({user})"),
    });
}

fn polled(buster: &CacheBuster) {
    buster.notify().expect("it polls");
}

/// Runs random steps, and returns the number of wrong versions of a process that polls between
/// them.
fn run(scene: &Scene, steps: usize) -> usize {
    let (buster, random) = (buster(scene), &mut Random::seeded());
    let permissions = keyed::<i64>(&buster, "permissions");
    let mut count = 0;
    for at in 0..steps {
        step(random, scene);
        if at == steps / 2 {
            scene.execute("SELECT bustard.change_cache('permissions', 'main', 'membership by user_id')");
        }
        if random.one_in(2) {
            polled(&buster);
            count += wrong(scene, &permissions);
        }
    }
    polled(&buster);
    count + wrong(scene, &permissions)
}

#[test]
fn a_process_that_lives_on_deltas() {
    let scene = postgres_with(MEMBERSHIP);
    assert_eq!(run(&scene, 120), 0);
}

/// A look after a fold returns the buckets that the fold and open events concern, and no others.
#[test]
fn a_delta_is_small() {
    let scene = postgres_with(MEMBERSHIP);
    scene.execute(
        "DO $$ BEGIN FOR i IN 1..40 LOOP INSERT INTO membership (user_id) VALUES (i); END LOOP; END $$",
    );
    scene.execute("SELECT bustard.fold()");
    let mark = scene.value("SELECT pg_current_snapshot()");
    let known = scene.value(
        "SELECT sources FROM bustard.snapshot_keys(1, 1, NULL, NULL, '{permissions}', '{NULL}', NULL)",
    );
    let buckets = |sources: &str, mark: &str| {
        scene.value(&format!(
            "SELECT is_delta || ' ' || cardinality(buckets) FROM bustard.snapshot_keys(1, 1, NULL, NULL, '{{permissions}}', ARRAY[{sources}]::text[], {mark})"
        ))
    };
    let (sources, mark) = (format!("'{known}'"), format!("'{mark}'"));
    assert_eq!(buckets(&sources, &mark), "true 0");
    scene.execute("INSERT INTO membership (user_id) VALUES (7)");
    scene.execute("SELECT bustard.fold()");
    scene.execute("INSERT INTO membership (user_id) VALUES (7), (8)");
    assert_eq!(buckets(&sources, &mark), "true 2");
    assert_eq!(buckets("NULL", &mark), "false 40");
    assert_eq!(buckets("'{1}'", &mark), "false 40");
    assert_eq!(buckets(&sources, "NULL"), "false 40");
    let same = "SELECT count(*) FROM bustard.snapshot_keys(1, 1, 1, 1, '{permissions}', '{NULL}', NULL)";
    assert_eq!(scene.value(same), "0", "the total is known");
}

/// The list of folds keeps 100 rows, also if it has rows of another cluster.
#[test]
fn the_list_of_folds_is_bounded() {
    let scene = postgres_with(MEMBERSHIP);
    scene.execute("INSERT INTO bustard.fold (xid, cells) SELECT '9223372036854775807', '{8194}' FROM generate_series(1, 90)");
    for _ in 0..120 {
        scene.execute("INSERT INTO membership (user_id) VALUES (1)");
        scene.execute("SELECT bustard.fold()");
    }
    assert_eq!(scene.value("SELECT count(*) || ' ' || count(DISTINCT xid) FROM bustard.fold"), "100 100");
}

/// Faults in what a look is told. The sum shows each of them, so the process reads all buckets
/// again and has no wrong version.
#[test]
fn a_look_that_misses_a_change_is_noticed() {
    let faults = [
        (
            "a fold lists no buckets",
            FOLD,
            "4095::bigint) OPERATOR(pg_catalog.>=) 2::bigint\n        HAVING",
            "4095::bigint) OPERATOR(pg_catalog.>=) 4096::bigint\n        HAVING",
        ),
        (
            "a delta forgets what was folded",
            SNAPSHOT,
            "WHERE NOT pg_catalog.pg_visible_in_snapshot(f.xid, since)",
            "WHERE false",
        ),
        (
            "a delta forgets a cell of each fold",
            SNAPSHOT,
            "pg_catalog.unnest(f.cells) AS c (cell)",
            "pg_catalog.unnest(f.cells[2:]) AS c (cell)",
        ),
        (
            "the mark is of the next fold",
            SNAPSHOT,
            "pg_catalog.pg_current_snapshot()::pg_catalog.text, w.is_delta",
            "'9000000000:9000000000:', w.is_delta",
        ),
    ];
    for (what, file, find, instead) in faults {
        let scene = postgres_with(MEMBERSHIP);
        assert_eq!(file.matches(find).count(), 1, "{what}");
        scene.execute(&file.replace(find, instead));
        assert_eq!(run(&scene, 60), 0, "{what}");
    }
}

/// A fault that hides both a change and the sum that shows it, which the comparison with SQL
/// finds.
#[test]
fn a_fault_that_the_tests_find() {
    let scene = postgres_with(MEMBERSHIP);
    let find = "CASE WHEN c.keyed OPERATOR(pg_catalog.<>) '{}' THEN c.rule END AS rule";
    let ids = "SELECT c.id OPERATOR(pg_catalog.||) c.keyed AS ids";
    assert_eq!((SNAPSHOT.matches(find).count(), SNAPSHOT.matches(ids).count()), (1, 1));
    scene.execute(&SNAPSHOT.replace(ids, "SELECT c.keyed AS ids"));
    scene.execute("SELECT bustard.invalidate_key('permissions', 1)");
    let buster = buster(&scene);
    let permissions = keyed::<i64>(&buster, "permissions");
    assert!(wrong(&scene, &permissions) > 0, "the cache's own buckets are not read, and this is not seen");
}

/// If the registry contradicts itself, the versions of keys are unknown, and those of whole
/// caches are not.
#[test]
fn a_sum_that_is_lost() {
    let scene = postgres_with(MEMBERSHIP);
    scene.execute(
        "INSERT INTO membership (user_id) VALUES (1); SELECT bustard.invalidate_key('permissions', 2)",
    );
    scene.execute("SELECT bustard.fold()");
    let buster = buster(&scene);
    let permissions = keyed::<i64>(&buster, "permissions");
    let before = permissions.version(&1).expect("it is known");
    scene.execute("DELETE FROM bustard.base WHERE cell & 4095 = 1; SELECT bustard.invalidate('permissions')");
    polled(&buster);
    assert!(!permissions.is_valid(&1, before));
    let error = permissions.version(&1).expect_err("it cannot be proven");
    assert!(error.to_string().contains("do not come to their sum"), "{error}");
    assert!(permissions.cache().version().is_ok());
}
