//! Tests objects on which no cache can be registered.

use crate::support::refused;

/// Asserts that the migration is refused with exit code 1, with its place and advice, and
/// changes nothing. `{name}.{engine}` is the snapshot.
#[track_caller]
fn refuses(name: &str, sql: &str) {
    refused(1, name, |scene| {
        scene.bad_file(sql);
    });
}

#[test]
fn a_table_that_is_not_there_yet() {
    refuses(
        "tracked_table_missing",
        "-- bustard: register cache bans on ban\nCREATE TABLE ban (id integer);\n",
    );
}

#[test]
fn a_view() {
    refuses(
        "tracked_view",
        "CREATE VIEW threads AS SELECT * FROM thread;\n-- bustard: register cache bans on post, threads\n",
    );
}

#[test]
fn a_temporary_table() {
    refuses(
        "tracked_temporary",
        "CREATE TEMP TABLE mine (id integer);\n-- bustard: register cache bans on mine\n",
    );
}

#[test]
fn objects_of_one_engine_only() {
    use crate::support::Scene;

    for (sql, what) in [
        (
            "CREATE MATERIALIZED VIEW m AS SELECT 1;\n-- bustard: register cache bans on m\n",
            "m is a materialized view",
        ),
        (
            "CREATE FOREIGN DATA WRAPPER w;\nCREATE SERVER s FOREIGN DATA WRAPPER w;\n\
             CREATE FOREIGN TABLE f (id integer) SERVER s;\n-- bustard: register cache bans on f\n",
            "f is a foreign table",
        ),
        (
            "CREATE FOREIGN DATA WRAPPER w;\nCREATE SERVER s FOREIGN DATA WRAPPER w;\n\
             CREATE TABLE p (id integer) PARTITION BY LIST (id);\n\
             CREATE FOREIGN TABLE f PARTITION OF p FOR VALUES IN (1) SERVER s;\n-- bustard: register cache bans on p\n",
            "public.f is a foreign table below one of these",
        ),
        ("CREATE SEQUENCE s;\n-- bustard: register cache bans on s\n", "s is no table"),
        ("-- bustard: register cache bans on pg_class\n", "pg_class is a system catalog"),
        (
            "-- bustard: register cache bans on bustard.cache\n",
            "bustard.cache is one of Bustard's own tables",
        ),
    ] {
        let scene = Scene::postgres();
        scene.file("V1__bad.sql", sql).migrate(&[]).exits(1).complains(what).complains("V1__bad.sql:");
    }
    for (sql, what) in [
        (
            "CREATE VIRTUAL TABLE v USING fts5(a);\n-- bustard: register cache bans on v\n",
            "v is a virtual table",
        ),
        ("-- bustard: register cache bans on sqlite_master\n", "sqlite_master is a system table"),
        (
            "-- bustard: register cache bans on Bustard_Cache\n",
            "Bustard_Cache is one of Bustard's own tables",
        ),
        ("-- bustard: register cache bans on other.t\n", "other.t is in an attached database"),
    ] {
        let scene = Scene::sqlite();
        scene.file("V1__bad.sql", sql).migrate(&[]).exits(1).complains(what).complains("V1__bad.sql:");
    }
}
