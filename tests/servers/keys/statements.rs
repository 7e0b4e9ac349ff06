//! Every kind of statement on a table with a key.

use super::{MEMBERSHIP, postgres_with, touched, touches};

const KEYS: [&str; 6] = ["1", "2", "3", "4", "NULL::bigint", "-7"];

#[test]
fn every_kind_of_statement() {
    let scene = postgres_with(&format!(
        "{MEMBERSHIP}
CREATE TABLE person (id integer PRIMARY KEY);
CREATE TABLE owned (person_id integer REFERENCES person ON DELETE CASCADE ON UPDATE CASCADE);
-- bustard: register cache owners on owned by person_id
CREATE VIEW shown AS SELECT * FROM membership;
CREATE UNIQUE INDEX one_role ON membership (user_id, role);
"
    ));
    let all = KEYS.as_slice();
    for (sql, expected) in [
        ("INSERT INTO membership (user_id, role) VALUES (1, 'a')", ["1"].as_slice()),
        ("INSERT INTO membership (user_id, role) VALUES (2, 'a'), (3, 'a'), (2, 'b')", &["2", "3"]),
        ("INSERT INTO membership (user_id, role) VALUES (NULL, 'z'), (-7, 'a')", &["NULL::bigint", "-7"]),
        ("UPDATE membership SET role = 'c' WHERE user_id = 1", &["1"]),
        // A key that is moved.
        ("UPDATE membership SET user_id = 4 WHERE user_id = 1", &["1", "4"]),
        (
            "UPDATE membership SET user_id = CASE user_id WHEN 2 THEN 4 ELSE 1 END WHERE user_id IN (2, 3) AND role = 'a'",
            &["1", "2", "3", "4"],
        ),
        ("UPDATE membership SET user_id = 1 WHERE user_id IS NULL", &["1", "NULL::bigint"]),
        ("DELETE FROM membership WHERE user_id = 1", &["1"]),
        ("UPDATE membership SET role = role WHERE false", &[]),
        ("DELETE FROM membership WHERE false", &[]),
        ("INSERT INTO membership (user_id, role) SELECT 1, 'x' WHERE false", &[]),
        ("SELECT * FROM membership", &[]),
        // Upserts.
        (
            "INSERT INTO membership (user_id, role) VALUES (2, 'b'), (1, 'n') ON CONFLICT (user_id, role) DO NOTHING",
            &["1"],
        ),
        (
            "INSERT INTO membership (user_id, role) VALUES (2, 'b'), (3, 'n') ON CONFLICT (user_id, role) DO UPDATE SET user_id = 4",
            &["2", "3", "4"],
        ),
        // MERGE, and a statement with several writes.
        (
            "MERGE INTO membership AS m USING (VALUES (1), (3)) AS v (u) ON m.user_id = v.u AND m.role = 'n' \
          WHEN MATCHED AND v.u = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET role = 'm' WHEN NOT MATCHED THEN INSERT (user_id, role) VALUES (v.u, 'o')",
            &["1", "3"],
        ),
        (
            "WITH gone AS (DELETE FROM membership WHERE user_id = 3 RETURNING *) INSERT INTO membership (user_id, role) SELECT 1, role FROM gone",
            &["1", "3"],
        ),
        (
            "WITH a AS (INSERT INTO membership (user_id, role) VALUES (1, 'p') RETURNING 1), b AS (INSERT INTO membership (user_id, role) VALUES (2, 'p') RETURNING 1) SELECT 1",
            &["1", "2"],
        ),
        ("INSERT INTO shown (user_id, role) VALUES (3, 'v')", &["3"]),
        (
            "DO $$ BEGIN FOR i IN 1..3 LOOP UPDATE membership SET role = role WHERE user_id = i; END LOOP; END $$",
            &["1", "2", "3"],
        ),
        // Transactions and savepoints.
        ("BEGIN; DELETE FROM membership; ROLLBACK", &[]),
        (
            "BEGIN; SAVEPOINT s; UPDATE membership SET role = role WHERE user_id = 1; ROLLBACK TO s; UPDATE membership SET role = role WHERE user_id = 2; COMMIT",
            &["2"],
        ),
        (
            "BEGIN ISOLATION LEVEL REPEATABLE READ; UPDATE membership SET role = role WHERE user_id = 1; COMMIT",
            &["1"],
        ),
        (
            "BEGIN ISOLATION LEVEL SERIALIZABLE; UPDATE membership SET role = role WHERE user_id = 2; COMMIT",
            &["2"],
        ),
        // The other table counts for all keys, and so does TRUNCATE.
        ("INSERT INTO role VALUES ('x')", all),
        ("TRUNCATE membership", all),
        ("TRUNCATE role", all),
    ] {
        if sql.starts_with("MERGE")
            && scene.value("SHOW server_version_num").parse::<i32>().expect("it is") < 150_000
        {
            continue;
        }
        touches(&scene, "permissions", &KEYS, sql, expected);
    }
    let mut client = scene.database().client();
    let mut copied = None;
    let before = super::versions(&scene, "permissions", &KEYS);
    {
        use std::io::Write;
        let mut copy = client.copy_in("COPY membership (user_id, role) FROM STDIN").expect("it copies");
        copy.write_all(b"3\tq\n-7\tq\n").expect("it writes");
        copied.replace(copy.finish().expect("it ends"));
    }
    assert_eq!(copied, Some(2));
    let after = super::versions(&scene, "permissions", &KEYS);
    let changed: Vec<bool> = before.iter().zip(&after).map(|(before, after)| before != after).collect();
    assert_eq!(changed, [true, false, false, true, false, false, true]);
    // Cascades.
    scene.execute("INSERT INTO person VALUES (1), (2), (3); INSERT INTO owned VALUES (1), (1), (2), (3)");
    for (sql, expected) in [
        ("DELETE FROM person WHERE id = 1", ["1"].as_slice()),
        ("UPDATE person SET id = 4 WHERE id = 2", &["2", "4"]),
        ("INSERT INTO person VALUES (9)", &[]),
        ("TRUNCATE person CASCADE", all),
    ] {
        touches(&scene, "owners", &KEYS, sql, expected);
    }
}

/// More rows or buckets than a statement names are one event of the whole table, and fewer
/// are one event for each bucket.
#[test]
fn a_wide_statement_is_one_event() {
    let scene = postgres_with(MEMBERSHIP);
    let events = |sql: &str| {
        scene.execute("TRUNCATE bustard.event");
        scene.execute(sql);
        let kinds = "SELECT concat_ws(' ', count(*) FILTER (WHERE cell & 4095 >= 2), count(*) FILTER (WHERE cell & 4095 = 0)) \
                     FROM bustard.event WHERE cell >> 12 = (SELECT keyed[1] FROM bustard.cache WHERE name = 'permissions')";
        scene.value(kinds)
    };
    let many = |rows: i32, keys: i32| {
        format!("INSERT INTO membership (user_id) SELECT i % {keys} FROM generate_series(1, {rows}) AS i")
    };
    for (sql, expected) in [
        (many(1, 1), "1 0"),
        (many(2, 2), "2 0"),
        (many(2, 1), "1 0"),
        (many(64, 64), "64 0"),
        (many(5000, 3), "3 0"),
        (many(65, 65), "0 1"),
        (many(5001, 1), "0 1"),
        (many(100_000, 70_000), "0 1"),
        ("UPDATE membership SET user_id = 7 WHERE user_id = 65000".to_owned(), "2 0"),
        ("UPDATE membership SET user_id = user_id WHERE user_id = 0".to_owned(), "0 1"),
        ("DELETE FROM membership WHERE user_id = 0".to_owned(), "0 1"),
        ("DELETE FROM membership WHERE user_id = 7".to_owned(), "1 0"),
        ("TRUNCATE membership; TRUNCATE membership".to_owned(), "0 2"),
    ] {
        assert_eq!(events(&sql), expected, "{sql}");
    }
    // The last rows of a wide statement have keys of their own.
    scene.execute("INSERT INTO membership (user_id) SELECT 1 FROM generate_series(1, 6000)");
    touches(
        &scene,
        "permissions",
        &KEYS,
        "UPDATE membership SET user_id = CASE WHEN id % 2 = 0 THEN 1 ELSE 2 END",
        &KEYS,
    );
}

/// A write through the parent of partitions, directly to one, and a row that moves.
#[test]
fn partitions() {
    let scene = postgres_with(
        "CREATE TABLE post (thread_id bigint, year integer) PARTITION BY RANGE (year);
CREATE TABLE post_1 PARTITION OF post FOR VALUES FROM (0) TO (2000);
CREATE TABLE post_2 PARTITION OF post FOR VALUES FROM (2000) TO (3000);
CREATE TABLE base (id bigint);
CREATE TABLE derived (thread_id bigint) INHERITS (base);
-- bustard: register cache threads on post by thread_id
-- bustard: register cache late on post_2 by thread_id
-- bustard: register cache children on derived by thread_id
",
    );
    let both = |sql: &str, expected: &[&str]| touches(&scene, "threads", &KEYS, sql, expected);
    both("INSERT INTO post VALUES (1, 1999), (2, 2001)", &["1", "2"]);
    both("INSERT INTO post_1 VALUES (3, 1999)", &["3"]);
    both("UPDATE post SET year = 2002 WHERE thread_id = 3", &["3"]);
    both("UPDATE post SET year = 1990, thread_id = 4 WHERE thread_id = 2", &["2", "4"]);
    both("UPDATE post_2 SET thread_id = 1 WHERE thread_id = 3", &["1", "3"]);
    both("DELETE FROM post WHERE year < 2000", &["1", "4"]);
    // The trigger of the parent sees the rows of all partitions.
    touches(&scene, "late", &KEYS, "INSERT INTO post VALUES (1, 1999), (2, 2001)", &["1", "2"]);
    touches(&scene, "late", &KEYS, "INSERT INTO post_1 VALUES (1, 1999)", &[]);
    touches(&scene, "late", &KEYS, "UPDATE post SET year = 2005 WHERE thread_id = 1", &["1"]);
    // A parent without the column of the key.
    touches(&scene, "children", &KEYS, "INSERT INTO derived VALUES (1, 2)", &["2"]);
    touches(&scene, "children", &KEYS, "UPDATE base SET id = 2", &KEYS);
    touches(&scene, "children", &KEYS, "UPDATE ONLY base SET id = 2", &[]);
}

/// Keys whose remainders are the same collide, and nothing else does.
#[test]
fn colliding_keys() {
    let scene = postgres_with(MEMBERSHIP);
    let keys = ["1", "4094", "-4092", "4093", "0", "NULL::bigint", "2147483647", "5"];
    for (key, expected) in [
        ("1", ["1", "4094", "-4092"].as_slice()),
        ("-4092", &["1", "4094", "-4092"]),
        ("0", &["0", "4093", "NULL::bigint"]),
        ("NULL", &["0", "4093", "NULL::bigint"]),
        ("2147483647", &["2147483647"]),
        ("5", &["5"]),
    ] {
        touches(
            &scene,
            "permissions",
            &keys,
            &format!("INSERT INTO membership (user_id) VALUES ({key})"),
            expected,
        );
        touches(
            &scene,
            "permissions",
            &keys,
            &format!("SELECT bustard.invalidate_key('permissions', {key}::bigint)"),
            expected,
        );
    }
}

/// The settings of the writer do not matter, nor does what is in its search path.
#[test]
fn hostile_settings_and_names() {
    let column = "a\"; DROP TABLE membership; -- %s $f$ %1$s '";
    let quoted = format!("\"{}\"", column.replace('"', "\"\""));
    let table = "\"t\"\"; DROP % $f$ by x\"";
    let scene = postgres_with(&format!(
        "CREATE TABLE {table} ({quoted} text, \"v1\" text, \"null\" integer, r integer, i integer, d integer);
-- bustard: register cache odd on {table} by {quoted}
-- bustard: register cache odder on {table} by ({quoted}, v1, \"null\", r, i, d)
CREATE SCHEMA hostile;
CREATE FUNCTION hostile.sha256(bytea) RETURNS bytea LANGUAGE sql AS 'SELECT ''''::bytea';
CREATE FUNCTION hostile.bad(bigint, bigint) RETURNS bigint LANGUAGE sql AS 'SELECT 1/0::bigint';
CREATE OPERATOR hostile.% (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = hostile.bad);
CREATE OPERATOR hostile.+ (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = hostile.bad);
CREATE FUNCTION hostile.unnest(bigint[]) RETURNS bigint LANGUAGE sql AS 'SELECT 4096::bigint';
CREATE TABLE hostile.new_rows (x integer); CREATE TABLE hostile.event (cell bigint);
"
    ));
    let settings = "SET search_path = hostile, pg_catalog; SET standard_conforming_strings = off; SET bytea_output = 'escape'; SET enable_hashagg = off";
    let keys = ["'x'::text", "'y'::text", "'5'::text", "E'\\\\001'"];
    touches(
        &scene,
        "odd",
        &keys,
        &format!("{settings}; INSERT INTO public.{table} VALUES ('x')"),
        &["'x'::text"],
    );
    touches(
        &scene,
        "odd",
        &keys,
        &format!("{settings}; UPDATE public.{table} SET {quoted} = 'y'"),
        &["'x'::text", "'y'::text"],
    );
    let rows = [
        "ARRAY['y', NULL, NULL, NULL, NULL, NULL]",
        "ARRAY['x', 'a', '1', '2', '3', '4']",
        "ARRAY['x', 'a', '1', '2', '3', '5']",
    ];
    touches(
        &scene,
        "odder",
        &rows,
        &format!(
            "{settings}; UPDATE public.{table} SET {quoted} = 'x', v1 = 'a', \"null\" = 1, r = 2, i = 3, d = 4"
        ),
        &rows[..2],
    );
    assert_eq!(touched(&scene, "odder", &rows, &format!("DELETE FROM public.{table}")).len(), 1);
    let tables = scene.value("SELECT tables[1] FROM bustard.caches WHERE name = 'odd'");
    assert_eq!(tables, format!("public.{table} by {quoted}"));
}
