//! Tests which statements invalidate a cache with tables.

use super::{Scene, both_with, counted, invalidates, postgres_with};

const BAN: &str = "CREATE TABLE ban (id integer PRIMARY KEY, pattern text);
INSERT INTO ban VALUES (1, 'a'), (2, 'b'), (3, 'c');
-- bustard: register cache other
-- bustard: register cache bans on ban
";

/// Asserts the number of invalidations: one for the statement on PostgreSQL, and one for
/// each row on SQLite.
#[track_caller]
fn counts(scene: &Scene, rows: i64, sql: &str) {
    let expected = if scene.is_postgres() { rows.min(1) } else { rows };
    assert_eq!(counted(scene, "bans", sql), expected, "{sql}");
}

#[test]
fn rows_that_are_written() {
    for scene in both_with(BAN) {
        for (rows, sql) in [
            (1, "INSERT INTO ban VALUES (4, 'd')"),
            (2, "INSERT INTO ban VALUES (5, 'e'), (6, 'f')"),
            (1, "UPDATE ban SET pattern = 'x' WHERE id = 1"),
            (6, "UPDATE ban SET pattern = pattern"),
            (1, "DELETE FROM ban WHERE id = 6"),
            (0, "SELECT * FROM ban"),
            (0, "CREATE INDEX ban_pattern ON ban (pattern)"),
            (5, "DELETE FROM ban"),
        ] {
            counts(&scene, rows, sql);
        }
        assert_eq!(counted(&scene, "other", "INSERT INTO ban VALUES (1, 'a')"), 0);
    }
}

#[test]
fn statements_that_match_no_row() {
    for scene in both_with(BAN) {
        for sql in [
            "INSERT INTO ban SELECT id, pattern FROM ban WHERE false",
            "UPDATE ban SET pattern = 'x' WHERE id = 99",
            "DELETE FROM ban WHERE id = 99",
            "INSERT INTO ban VALUES (1, 'x') ON CONFLICT (id) DO NOTHING",
            "INSERT INTO ban VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET pattern = 'y' WHERE ban.id = 99",
        ] {
            counts(&scene, 0, sql);
        }
        // An upsert is one invalidation, because only one of its two triggers has seen a
        // row.
        counts(&scene, 1, "INSERT INTO ban VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET pattern = 'y'");
        counts(&scene, 1, "INSERT INTO ban VALUES (9, 'x') ON CONFLICT (id) DO UPDATE SET pattern = 'y'");
        if !scene.is_postgres() {
            counts(&scene, 1, "INSERT OR REPLACE INTO ban VALUES (9, 'z')");
        }
    }
}

#[test]
fn writes_that_are_rolled_back_do_not_invalidate() {
    for scene in both_with(BAN) {
        counts(&scene, 0, "BEGIN; DELETE FROM ban; ROLLBACK");
        counts(&scene, 0, "BEGIN; SAVEPOINT s; DELETE FROM ban; ROLLBACK TO s; COMMIT");
        counts(&scene, 1, "BEGIN; SAVEPOINT s; DELETE FROM ban WHERE id = 1; RELEASE s; COMMIT");
    }
}

/// A version that was read before is invalid as soon as the write is visible.
#[test]
fn data_and_version_are_seen_together() {
    let scene = postgres_with(BAN);
    let (mut writer, mut reader) = (scene.database().client(), scene.database().client());
    let mut look = || -> (i64, i64) {
        let sql = "SELECT bustard.get_version('bans'), count(*) FROM ban";
        let row = reader.query_one(sql, &[]).expect("it runs");
        (row.get(0), row.get(1))
    };
    let before = look();
    writer.batch_execute("BEGIN; INSERT INTO ban VALUES (4, 'd')").expect("it runs");
    assert_eq!(look(), before);
    writer.batch_execute("COMMIT").expect("it runs");
    let after = look();
    assert!(after.0 != before.0 && after.1 == before.1 + 1);
}

#[test]
fn truncate_always_invalidates() {
    let scene = postgres_with(BAN);
    counts(&scene, 1, "TRUNCATE ban");
    counts(&scene, 1, "TRUNCATE ban");
    counts(&scene, 0, "BEGIN; TRUNCATE ban; ROLLBACK");
}

#[test]
fn copy_and_merge() {
    let scene = postgres_with(BAN);
    let mut client = scene.database().client();
    for (rows, expected) in [("7\tg\n8\th\n", 1), ("", 0)] {
        let before = super::count(&scene, "bans");
        let mut copy = client.copy_in("COPY ban FROM stdin").expect("it begins");
        std::io::Write::write_all(&mut copy, rows.as_bytes()).expect("it takes rows");
        copy.finish().expect("it ends");
        assert_eq!(super::count(&scene, "bans") - before, expected, "{rows:?}");
    }
    let server: i32 =
        client.query_one("SELECT current_setting('server_version_num')::int", &[]).expect("it runs").get(0);
    if server >= 150_000 {
        let merge = |source: &str| {
            format!(
                "MERGE INTO ban USING ({source}) AS s (id) ON ban.id = s.id
                 WHEN MATCHED AND s.id > 5 THEN DELETE
                 WHEN MATCHED THEN UPDATE SET pattern = 'm'
                 WHEN NOT MATCHED THEN INSERT VALUES (s.id, 'n')"
            )
        };
        assert_eq!(counted(&scene, "bans", &merge("SELECT 1 WHERE false")), 0);
        assert_eq!(counted(&scene, "bans", &merge("SELECT 1")), 1);
        assert_eq!(counted(&scene, "bans", &merge("VALUES (1), (8), (20)")), 3);
    }
}

#[test]
fn foreign_key_actions() {
    for action in ["ON DELETE CASCADE", "ON DELETE SET NULL", "ON UPDATE CASCADE"] {
        for scene in both_with(&format!(
            "CREATE TABLE account (id integer PRIMARY KEY);
             CREATE TABLE ban (id integer PRIMARY KEY, account integer REFERENCES account (id) {action});
             INSERT INTO account VALUES (1), (2);
             INSERT INTO ban VALUES (1, 1);
-- bustard: register cache bans on ban
"
        )) {
            let pragma = if scene.is_postgres() { "" } else { "PRAGMA foreign_keys = ON;" };
            let (write, idle) = match action.contains("UPDATE") {
                true => {
                    ("UPDATE account SET id = 10 WHERE id = 1", "UPDATE account SET id = 20 WHERE id = 2")
                }
                false => ("DELETE FROM account WHERE id = 1", "DELETE FROM account WHERE id = 2"),
            };
            assert!(!invalidates(&scene, "bans", &format!("{pragma}{idle}")), "{action}");
            assert!(invalidates(&scene, "bans", &format!("{pragma}{write}")), "{action}");
        }
    }
}

/// Replication sessions fire no triggers, as documented.
#[test]
fn writes_of_a_replication_session_do_not_invalidate() {
    let scene = postgres_with(BAN);
    assert_eq!(counted(&scene, "bans", "SET session_replication_role = replica; DELETE FROM ban"), 0);
}

/// Two transactions that write the same two tables in opposite orders conflict only
/// on the same rows.
#[test]
fn writes_do_not_wait_for_each_other() {
    let scene = postgres_with(
        "CREATE TABLE a (id integer);
CREATE TABLE b (id integer);
-- bustard: register cache bans on a, b
-- bustard: register cache others on b, a
",
    );
    let before = super::count(&scene, "bans");
    for level in ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] {
        let mut clients = [scene.database().client(), scene.database().client()];
        for client in &mut clients {
            let begin = format!("SET lock_timeout = '10s'; BEGIN ISOLATION LEVEL {level}");
            client.batch_execute(&begin).expect("it begins");
        }
        for (turn, (first, second)) in [("a", "b"), ("b", "a")].into_iter().enumerate() {
            for (i, client) in clients.iter_mut().enumerate() {
                let table = if i == 0 { first } else { second };
                let write = format!("INSERT INTO {table} VALUES ({})", 2 * turn + i);
                client.batch_execute(&write).unwrap_or_else(|error| panic!("{level}: {error}"));
            }
        }
        for client in &mut clients {
            client.batch_execute("COMMIT").unwrap_or_else(|error| panic!("{level}: {error}"));
        }
    }
    assert_eq!(super::count(&scene, "bans") - before, 12);
    assert_eq!(super::count(&scene, "others"), super::count(&scene, "bans"));
}

/// A transaction whose snapshot is older than the registration does not see the
/// cache, but readers of the cache see the invalidation by its writes.
#[test]
fn a_snapshot_older_than_the_registration() {
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        let scene = postgres_with("CREATE TABLE ban (id integer);\nCREATE TABLE other (id integer);\n");
        let mut writer = scene.database().client();
        let begin = || format!("BEGIN ISOLATION LEVEL {level}; SELECT count(*) FROM other");
        writer.batch_execute(&begin()).expect("it begins");
        super::migrated(&scene, "V2__bans.sql", "-- bustard: register cache bans on ban\n");
        let before = super::count(&scene, "bans");
        let write = "INSERT INTO ban VALUES (1); TRUNCATE ban; COMMIT";
        writer.batch_execute(write).unwrap_or_else(|error| panic!("{level}: {error}"));
        assert_eq!(super::count(&scene, "bans") - before, 2, "{level}");
        // The old snapshot does not show the second registration of the cache either.
        super::migrated(&scene, "V3__off.sql", "-- bustard: unregister cache bans\n");
        writer.batch_execute(&begin()).expect("it begins");
        super::migrated(&scene, "V4__on.sql", "-- bustard: register cache bans on ban\n");
        let before = super::count(&scene, "bans");
        writer.batch_execute("DELETE FROM ban; INSERT INTO ban VALUES (2); COMMIT").expect("it writes");
        assert_eq!(super::count(&scene, "bans") - before, 1, "{level}");
    }
}
