//! Proves that the statements of these tests find faults: each fault is put into a function
//! of a database of its own.

use super::{MEMBERSHIP, postgres_with, touched, versions};
use crate::support::Scene;

const BODY: &str = include_str!("../../../migrations/R__function_body.postgres.sql");

/// Returns a database with this text in one of Bustard's functions, and with triggers that the
/// function has written.
fn faulty(file: &str, find: &str, instead: &str) -> Scene {
    let scene = postgres_with(MEMBERSHIP);
    assert_eq!(file.matches(find).count(), 1, "{find}");
    scene.execute(&file.replace(find, instead));
    scene.execute("SELECT bustard.install_triggers()");
    scene
}

/// In this fault, an UPDATE looks at the new rows only.
#[test]
fn a_moved_key_that_is_not_seen() {
    let scene = faulty(BODY, "'{old_rows,new_rows}'", "'{new_rows}'");
    scene.execute("INSERT INTO membership (user_id) VALUES (1)");
    let moved = touched(&scene, "permissions", &["1", "2"], "UPDATE membership SET user_id = 2");
    assert!(!moved.contains("1"), "the key 1 has lost a row, and the tests would not find that it is stale");
}

/// In this fault, a statement names at most 64 buckets and looks at most at 5001 rows, and
/// nothing is said about the rest.
#[test]
fn a_wide_statement_that_is_not_widened() {
    let scene = faulty(
        BODY,
        "THEN ARRAY[%s::bigint] ELSE",
        "THEN (pg_catalog.array_agg(DISTINCT c.cell))[1:64 + 0 * %s] ELSE",
    );
    let insert = "INSERT INTO membership (user_id) SELECT i FROM generate_series(1, 6000) AS i";
    assert!(!touched(&scene, "permissions", &["1", "80", "5500"], insert).contains("80"));
}

/// In this fault, a fold does not add the events of buckets to the sum of their source.
#[test]
fn a_fold_without_the_sum_of_buckets() {
    let file = include_str!("../../../migrations/R__fold.postgres.sql");
    let scene = faulty(
        file,
        "OPERATOR(pg_catalog.>=) 2::bigint GROUP BY 1",
        "OPERATOR(pg_catalog.>=) 4096::bigint GROUP BY 1",
    );
    scene.execute("INSERT INTO membership (user_id) VALUES (1)");
    let before = versions(&scene, "permissions", &["1"]);
    scene.execute("SELECT bustard.fold()");
    let after = versions(&scene, "permissions", &["1"]);
    assert!(after[0] < before[0] && after[1] == before[1]);
}

/// In this fault, the type of a column is not compared, and a user's write fails.
#[test]
fn a_column_whose_type_is_not_compared() {
    let scene = faulty(
        BODY,
        "pg_catalog.pg_typeof(k.v%s)::pg_catalog.oid OPERATOR(pg_catalog.=) ANY (''%s''::pg_catalog.oid[])',\n               k.i, t.types)",
        "true OR %s::text <> ''%s''',\n               k.i, t.types)",
    );
    scene.execute("ALTER TABLE membership ALTER user_id TYPE text");
    let insert = "INSERT INTO membership (user_id) VALUES ('no number')";
    assert_eq!(super::refused(&scene, insert), "22P02");
}
