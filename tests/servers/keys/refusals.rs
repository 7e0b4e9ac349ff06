//! What cannot be a key, each with its advice.

use super::{postgres_with, refused};
use crate::support::Scene;

const TABLES: &str = "CREATE COLLATION ci (provider = icu, locale = 'und', deterministic = false);
CREATE DOMAIN code AS integer;
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TABLE t (id integer, k bigint, u uuid, s text, n text COLLATE ci, f float8, d numeric, at timestamp, tz timestamptz, day date,
    b bytea, c char(3), ok boolean, j jsonb, a integer[], code code, mood mood, name name, \"Odd\" integer);
CREATE TABLE o (id integer, s text);
CREATE VIEW v AS SELECT * FROM t;
CREATE MATERIALIZED VIEW m AS SELECT 1 AS id;
";

/// The directive, and parts of the error.
#[test]
fn registrations() {
    let many: Vec<String> = (0..33).map(|i| format!("c{i}")).collect();
    let many = format!("t by ({})", many.join(", "));
    let none = [].as_slice();
    for (tables, parts) in [
        ("t by f", ["column f of t has the type double precision", "stored generated column"].as_slice()),
        ("t by d", &["numeric", "stored generated column"]),
        ("t by at", &["timestamp without time zone", "stored generated column"]),
        ("t by tz", &["timestamp with time zone"]),
        ("t by day", &["the type date"]),
        ("t by b", &["bytea"]),
        ("t by c", &["character(3)"]),
        ("t by ok", &["boolean"]),
        ("t by j", &["jsonb"]),
        ("t by a", &["integer[]"]),
        ("t by code", &["the type code"]),
        ("t by mood", &["the type mood"]),
        ("t by name", &["the type name"]),
        ("t by n", &["column n of t has a nondeterministic collation", "deterministic collation"]),
        ("t by (id, n)", &["nondeterministic"]),
        ("t by nothing", &["there is no column nothing in t", "The table has id, k, u"]),
        ("t by ctid", &["there is no column ctid"]),
        ("t by odd", &["there is no column odd"]),
        ("t by (id, id)", &["column id is twice"]),
        ("t by (id, \"id\")", &["column \"id\" is twice"]),
        ("v by id", &["v is a view"]),
        ("m by id", &["m is a materialized view"]),
        ("gone by id", &["there is no table gone"]),
        ("t by id, o by s", &["have two types: public.t by id (int) and public.o by s (text)", "BY"]),
        ("t by id, t by u", &["public.t by id (int) and public.t by u (uuid)"]),
        ("t by (id, s), o by id", &["public.o by id (int) and public.t by (id, s) (int,text)"]),
        ("t by u, o by s", &["public.o by s (text) and public.t by u (uuid)"]),
        ("t by ()", &["the column of the key is missing", "TABLE by"]),
        ("t by", &["the column of the key is missing"]),
        ("t by id k", &["`k` is unexpected here"]),
        (many.as_str(), &["33 columns"]),
        ("t by (k)", none),
        ("t by k, o by id, t by \"Odd\", t", none),
        ("t by (u, s, id), t by (u, s, k)", none),
    ] {
        let scene = postgres_with(TABLES);
        scene.file("V2__keys.sql", format!("-- bustard: register cache c on {tables}\n"));
        let outcome = scene.migrate(&[]);
        if parts.is_empty() {
            outcome.success();
            continue;
        }
        let error = outcome.error().to_owned();
        assert!(error.contains("V2__keys.sql:1"), "{tables}: {error}");
        let one_line = error.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in parts {
            assert!(one_line.contains(part), "{tables}: {error}");
        }
        assert_eq!(scene.value("SELECT count(*) FROM bustard.caches"), "0", "{tables}");
    }
}

#[test]
fn codes_of_the_sql_api() {
    let scene = postgres_with(&format!(
        "{TABLES}-- bustard: register cache c on t by id\n-- bustard: register cache whole on t\n"
    ));
    let many: Vec<String> = (0..33).map(|i| format!("c{i} integer")).collect();
    scene.execute(&format!("CREATE TABLE wide ({})", many.join(", ")));
    let names: Vec<String> = (0..33).map(|i| format!("c{i}")).collect();
    let thirty_two = format!("wide by ({})", names[..32].join(","));
    scene.execute(&format!("SELECT bustard.register_cache_on('wide', 'main', '{thirty_two}'), bustard.register_cache_on('one', 'main', 'wide by(c1)', ' public . t  BY \"Odd\" ')"));
    assert_eq!(
        scene.value("SELECT tables FROM bustard.caches WHERE name = 'one'"),
        "{\"public.t by \\\"Odd\\\"\",\"public.wide by c1\"}"
    );
    for (element, code) in [
        ("t by f", "42804"),
        ("t by n", "42804"),
        ("t by nothing", "42703"),
        ("t by (id, id)", "42701"),
        ("t by ()", "42601"),
        ("t by", "42601"),
        ("t by (id", "42601"),
        ("t by id, k", "42601"),
        ("t by t.id", "42601"),
        ("t by \"", "42601"),
        ("v by id", "42809"),
        ("gone by id", "42P01"),
        ("bustard.cache by id", "42809"),
        (&format!("wide by ({})", names.join(",")), "54011"),
    ] {
        assert_eq!(
            refused(&scene, &format!("SELECT bustard.register_cache_on('x', 'main', '{element}')")),
            code,
            "{element}"
        );
        assert_eq!(
            refused(&scene, &format!("SELECT bustard.change_cache('c', 'main', '{element}')")),
            code,
            "{element}"
        );
    }
    assert_eq!(
        refused(&scene, "SELECT bustard.register_cache_on('x', 'main', 't by id', 'o by s')"),
        "42804"
    );
    for (call, code) in [
        ("get_version('c', 'abc')", "22P02"),
        ("get_version('c', '')", "22P02"),
        ("get_version('c', '1.0')", "22P02"),
        ("get_version('c', '9223372036854775808')", "22P02"),
        ("is_valid('c', 'abc', 1)", "22P02"),
        ("is_valid('c', gen_random_uuid(), 1)", "22P02"),
        ("invalidate_key('c', 'abc')", "22P02"),
        ("invalidate_key('c', '1', 'abc')", "22P02"),
        ("invalidate_key('c', gen_random_uuid())", "22P02"),
        ("invalidate_key('c', ARRAY['1', '2'])", "22P02"),
        ("invalidate_key('c', '{}'::text[])", "22P02"),
        ("get_version('c', NULL::text[])", "22P02"),
        ("get_version('whole', '1')", "42809"),
        ("is_valid('whole', 1::bigint, 1::bigint)", "42809"),
        ("invalidate_key('whole', '1')", "42809"),
        ("invalidate_key('whole', 1, 2)", "42809"),
        ("get_version('nothing', '1')", "42704"),
        ("is_valid('nothing', '1', 1)", "42704"),
        ("invalidate_key('nothing', '1')", "42704"),
        ("invalidate_key('nothing', ARRAY['1'])", "42704"),
        ("identity('nothing', ARRAY['1'])", "42704"),
        ("invalidate_key(NULL, '1')", "22023"),
    ] {
        assert_eq!(refused(&scene, &format!("SELECT bustard.{call}")), code, "{call}");
    }
    assert_eq!(scene.value("SELECT bustard.is_valid('c', 1, NULL)"), "f");
}

/// On SQLite each write counts for all keys, and the migration says so.
#[test]
fn sqlite_widens() {
    let scene = Scene::sqlite();
    let sql = "CREATE TABLE t (id integer PRIMARY KEY, k integer);\n-- bustard: register cache c on t by K\n";
    let report = scene.file("V1__first.sql", sql).migrate(&["--json"]).success().json();
    let notices = report["notices"].to_string();
    assert!(notices.contains("on SQLite, each write to t invalidates all keys of the cache c"), "{notices}");
    assert!(crate::triggers::invalidates(&scene, "c", "INSERT INTO t VALUES (1, 1)"));
    scene.file("V2__bad.sql", "-- bustard: change cache c on t by (k, missing)\n");
    scene
        .migrate(&[])
        .exits(1)
        .complains("there is no column missing in t")
        .complains("id, k")
        .complains("V2__bad.sql:1");
}
