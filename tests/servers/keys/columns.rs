//! Key columns of each type, and columns that are renamed, dropped, retyped or given another
//! collation. The user's write never fails, and no key stays valid that it changes.

use super::{postgres_with, touches};
use crate::support::{Cluster, Database, Scene};
use crate::triggers::{bustard, migrated, missing_triggers};

/// Types, three keys as they are inserted, and spellings of the second key.
const TYPES: [(&str, [&str; 3], &[&str]); 9] = [
    ("smallint", ["1", "2", "NULL"], &["2::bigint", "'2'", "' +02 '"]),
    ("integer", ["-1", "2147483647", "0"], &["2147483647", "'2147483647'"]),
    ("bigint", ["1", "-9223372036854775808", "9223372036854775807"], &["'-9223372036854775808'"]),
    ("text", ["'a'", "'A'", "''"], &["'A'", "'A'::varchar"]),
    ("text", ["'é'", "'e\u{301}'", "'日本 🦀'"], &["'e\u{301}'"]),
    ("varchar(5)", ["'1'", "'01'", "NULL"], &["'01'"]),
    ("text COLLATE \"C\"", ["'a'", "E'a\\x1fb'", "'a '"], &["E'a\\x1fb'"]),
    ("integer GENERATED ALWAYS AS (length(v)) STORED", ["'a'", "'bb'", "'ccc'"], &["2", "'2'"]),
    (
        "uuid",
        ["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12'", "NULL"],
        &[
            "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12'",
            "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A12'",
            "'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12}'",
            "'A0EEBC999C0B4EF8BB6D6BB9BD380A12'",
            "'a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a12'",
            "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12'::uuid",
        ],
    ),
];

#[test]
fn types_and_spellings() {
    for (kind, values, spellings) in TYPES {
        let scene = postgres_with(&format!(
            "CREATE TABLE t (k {kind}, v text);\n-- bustard: register cache c on t by k\n"
        ));
        let column = if kind.contains("GENERATED") { "v" } else { "k" };
        let others = match column {
            "v" => ["1", "3"].map(str::to_owned),
            _ => [0, 2].map(|i| match values[i] {
                "NULL" => "NULL::text".to_owned(),
                value => value.to_owned(),
            }),
        };
        let keys: Vec<&str> = others.iter().map(String::as_str).chain(spellings.iter().copied()).collect();
        touches(&scene, "c", &keys, &format!("INSERT INTO t ({column}) VALUES ({})", values[1]), spellings);
        touches(
            &scene,
            "c",
            &keys,
            &format!("UPDATE t SET {column} = {}", values[0]),
            &keys.iter().copied().filter(|key| *key != others[1]).collect::<Vec<_>>(),
        );
        for spelling in spellings {
            touches(
                &scene,
                "c",
                &keys,
                &format!("SELECT bustard.invalidate_key('c', {spelling})"),
                spellings,
            );
        }
    }
}

/// A capital is another text.
#[test]
fn a_uuid_in_a_text_column() {
    let scene = postgres_with("CREATE TABLE t (k text);\n-- bustard: register cache c on t by k\n");
    let [lower, upper] = ["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'"];
    let typed = "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid";
    let keys = [lower, upper, typed];
    touches(&scene, "c", &keys, &format!("INSERT INTO t VALUES ({lower})"), &[lower, typed]);
    touches(&scene, "c", &keys, &format!("INSERT INTO t VALUES ({upper})"), &[upper]);
}

#[test]
fn a_long_key() {
    let scene = postgres_with("CREATE TABLE t (k text);\n-- bustard: register cache c on t by k\n");
    let keys = ["repeat('x', 1000000)", "repeat('x', 1000001)"];
    touches(&scene, "c", &keys, "INSERT INTO t SELECT repeat('x', 1000000)", &keys[..1]);
    touches(&scene, "c", &keys, "SELECT bustard.invalidate_key('c', repeat('x', 1000001))", &keys[1..]);
}

/// Each change of a column, and what a later write must touch: all keys, or the exact ones.
/// `t` is the table.
const CHANGES: [(&str, &str, &str, &[&str]); 19] = [
    ("integer", "RENAME k TO other", "INSERT INTO t VALUES (1)", &["1", "2"]),
    ("integer", "RENAME k TO v1", "UPDATE t SET v1 = 2", &["1", "2"]),
    ("integer", "DROP k", "INSERT INTO t (x) VALUES (1)", &["1", "2"]),
    ("integer", "DROP k", "DELETE FROM t", &["1", "2"]),
    ("integer", "ALTER k TYPE text", "INSERT INTO t VALUES ('no number')", &["1", "2"]),
    (
        "integer",
        "ALTER k TYPE uuid USING gen_random_uuid()",
        "UPDATE t SET k = gen_random_uuid()",
        &["1", "2"],
    ),
    ("integer", "ALTER k TYPE float8", "INSERT INTO t VALUES ('NaN')", &["1", "2"]),
    ("integer", "ALTER k TYPE numeric", "INSERT INTO t VALUES (1e100)", &["1", "2"]),
    ("integer", "ALTER k TYPE boolean USING true", "INSERT INTO t VALUES (true)", &["1", "2"]),
    ("integer", "ALTER k TYPE integer[] USING ARRAY[k]", "INSERT INTO t VALUES ('{1}')", &["1", "2"]),
    ("integer", "ALTER k TYPE bigint", "INSERT INTO t VALUES (1)", &["1"]),
    ("bigint", "ALTER k TYPE smallint", "INSERT INTO t VALUES (2)", &["2"]),
    ("text", "ALTER k TYPE varchar(3)", "INSERT INTO t VALUES ('1')", &["1"]),
    ("text", "ALTER k TYPE char(3)", "INSERT INTO t VALUES ('1')", &["1", "2"]),
    ("text", "ALTER k TYPE integer USING k::integer", "INSERT INTO t VALUES (1)", &["1", "2"]),
    ("text", "ALTER k TYPE bytea USING k::bytea", "INSERT INTO t VALUES ('1')", &["1", "2"]),
    ("text", "ALTER k TYPE text COLLATE \"C\"", "INSERT INTO t VALUES ('1')", &["1"]),
    ("text", "ALTER k TYPE text COLLATE ci", "INSERT INTO t VALUES ('1')", &["1", "2"]),
    ("text", "RENAME k TO other", "INSERT INTO t VALUES ('1')", &["1", "2"]),
];

#[test]
fn columns_that_change() {
    let keys = ["'1'", "'2'"];
    let table = |i: usize, beside: bool| format!("t{i}_{beside}");
    let mut first =
        "CREATE COLLATION ci (provider = icu, locale = 'und', deterministic = false);\n".to_owned();
    for (i, (column, ..)) in CHANGES.iter().enumerate() {
        for t in [false, true].map(|beside| table(i, beside)) {
            let register = format!("-- bustard: register cache {t} on {t} by k");
            first.push_str(&format!("CREATE TABLE {t} (k {column}, x integer);\n{register}\n"));
        }
    }
    let scene = postgres_with(&first);
    for (i, (_, change, write, expected)) in CHANGES.iter().enumerate() {
        let expected: Vec<&str> =
            keys.into_iter().filter(|key| expected.contains(&key.trim_matches('\''))).collect();
        for beside in [false, true] {
            let t = table(i, beside);
            let write = ["INSERT INTO t", "UPDATE t", "DELETE FROM t"]
                .iter()
                .find_map(|verb| Some(format!("{}{t}{}", verb.strip_suffix('t')?, write.strip_prefix(verb)?)))
                .expect("a write");
            let what = format!("{t} {change}: {write}");
            let fill = format!("INSERT INTO {t} VALUES ('2')");
            if beside {
                // In another session, which has a plan and a snapshot of before.
                let mut client = scene.database().client();
                client.batch_execute(&fill).expect("it writes");
                client
                    .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM bustard.caches")
                    .expect("it begins");
                scene.execute(&format!("ALTER TABLE {t} {change}"));
                if !write.starts_with("INSERT") {
                    // The old snapshot sees no row of a rewritten table.
                    continue;
                }
                let before = super::versions(&scene, &t, &keys);
                client.batch_execute(&write).unwrap_or_else(|error| panic!("{what}: {error:?}"));
                client.batch_execute("COMMIT").expect("it commits");
                let after = super::versions(&scene, &t, &keys);
                for (i, key) in keys.iter().enumerate() {
                    assert_eq!(before[i + 1] != after[i + 1], expected.contains(key), "{what} {key}");
                }
            } else {
                scene.execute(&format!("{fill}; ALTER TABLE {t} {change}"));
                touches(&scene, &t, &keys, &write, &expected);
            }
            let missing = format!(
                "SELECT count(*) FROM bustard.missing_triggers() WHERE cache = '{t}' AND why = 'keys'"
            );
            assert_eq!(scene.value(&missing), (expected.len() - 1).to_string(), "{what}");
        }
    }
}

/// A run does not repair columns, and a changed cache counts keys again.
#[test]
fn a_cache_is_changed_after_its_column() {
    let scene = postgres_with("CREATE TABLE t (k integer);\n-- bustard: register cache c on t by k\n");
    scene.execute("ALTER TABLE t RENAME k TO l");
    bustard(&scene, &["check"]).exits(3);
    bustard(&scene, &["status"])
        .success()
        .says("cache c is registered on public.t by k, whose columns have changed");
    scene.migrate(&[]).success();
    assert_eq!(missing_triggers(&scene).len(), 1);
    migrated(&scene, "V2__change.sql", "-- bustard: change cache c on t by l\n");
    bustard(&scene, &["check"]).exits(0);
    touches(&scene, "c", &["1", "2"], "INSERT INTO t VALUES (1)", &["1"]);
}

/// In a database whose encoding is not UTF8, text keys are widened, and others are not.
#[test]
fn other_encodings() {
    let options =
        |encoding: &str| format!("ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
    for encoding in ["SQL_ASCII", "WIN1252"] {
        let database = Database::with(Cluster::shared(), &options(encoding));
        let scene = Scene::of(database);
        scene.file(
            "V1__first.sql",
            "CREATE TABLE t (k text, n integer, u uuid);\n-- bustard: register cache c on t by k\n\
             -- bustard: register cache n on t by n\n-- bustard: register cache u on t by u\n",
        );
        let report = scene.migrate(&["--json"]).success().json();
        let notices = report["notices"].to_string();
        assert!(notices.contains("each write to t invalidates all keys of the cache"), "{notices}");
        let keys = ["'1'", "'2'", "'3'"];
        touches(&scene, "c", &keys, "INSERT INTO t VALUES (E'\\x31', 1)", &keys);
        touches(&scene, "c", &keys, "SELECT bustard.invalidate_key('c', '1')", &keys);
        touches(&scene, "n", &keys, "UPDATE t SET n = 2", &keys[..2]);
        let id = ["gen_random_uuid()", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"];
        touches(
            &scene,
            "u",
            &id[1..],
            "INSERT INTO t (u) VALUES ('A0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11')",
            &id[1..],
        );
        bustard(&scene, &["check"]).exits(0);
    }
}

/// The names of triggers and functions come from the columns, which may have any character.
#[test]
fn names_that_would_join_to_the_same_text() {
    let scene = postgres_with("CREATE TABLE t (a text, \"a\u{1f}b\" text, \"b\u{1f}c\" text, c text);\n");
    scene.execute(
        "SELECT bustard.register_cache_on('one', NULL, 't by (\"a\u{1f}b\", c)'), \
         bustard.register_cache_on('two', NULL, 't by (a, \"b\u{1f}c\")')",
    );
    assert_eq!(
        scene.value("SELECT count(DISTINCT tgfoid) FROM pg_trigger WHERE tgrelid = 't'::regclass"),
        "2"
    );
    scene.execute("INSERT INTO t VALUES ('1', '2', '3', '4')");
    touches(&scene, "one", &["ARRAY['2', '4']"], "UPDATE t SET a = a", &["ARRAY['2', '4']"]);
    touches(&scene, "two", &["ARRAY['1', '3']"], "UPDATE t SET c = c", &["ARRAY['1', '3']"]);
}
