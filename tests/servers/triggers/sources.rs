//! Tests the sources of caches: each table has one set of triggers and one function,
//! whatever the number of caches, and a cache's sources can change.

use std::thread;

use super::{
    Scene, both_with, bustard, count, counted, function, invalidates, migrated, missing_triggers,
    postgres_with, retracks, tables, triggers,
};

const TABLES: &str = "CREATE TABLE a (id integer PRIMARY KEY);
CREATE TABLE b (id integer PRIMARY KEY);
CREATE TABLE c (id integer PRIMARY KEY);
-- bustard: register cache on_a on a
-- bustard: register cache on_both on a, b
";

fn each(scene: &Scene) -> usize {
    if scene.is_postgres() { 4 } else { 3 }
}

#[test]
fn many_caches_share_one_set_of_triggers() {
    let caches: String = (0..500).map(|i| format!("-- bustard: register cache c{i} on a\n")).collect();
    for scene in both_with(&format!("{TABLES}{caches}")) {
        assert_eq!(triggers(&scene).len(), 2 * each(&scene), "{:?}", triggers(&scene));
        for cache in ["c0", "c499", "on_a", "on_both"] {
            assert_eq!(counted(&scene, cache, "INSERT INTO a VALUES (1); DELETE FROM a"), 2, "{cache}");
        }
        if scene.is_postgres() {
            let events = || scene.value("SELECT count(*) FROM bustard.event").parse::<i64>().expect("it is");
            let before = events();
            scene.execute("INSERT INTO a VALUES (2)");
            assert_eq!(events() - before, 1, "a statement writes one event");
        }
    }
}

/// A second cache on a table needs no DDL and no lock there.
#[test]
fn a_second_cache_does_not_wait_for_writers() {
    let scene = postgres_with(TABLES);
    let mut writer = scene.database().client();
    writer.batch_execute("BEGIN; INSERT INTO a VALUES (1); INSERT INTO b VALUES (1)").expect("it writes");
    scene.execute("SET lock_timeout = '100ms'; SELECT bustard.register_cache_on('more', 'main', 'a', 'b')");
    let more = count(&scene, "more");
    writer.batch_execute("COMMIT").expect("it commits");
    assert_eq!(count(&scene, "more") - more, 2, "the open transaction counts for the new cache");
    // The other cache still counts the sources, so nothing is dropped either.
    let mut writer = scene.database().client();
    writer.batch_execute("BEGIN; INSERT INTO a VALUES (2); INSERT INTO b VALUES (2)").expect("it writes");
    scene.execute("SET lock_timeout = '100ms'; SELECT bustard.unregister_cache('more')");
    writer.batch_execute("COMMIT").expect("it commits");
}

#[test]
fn a_change_and_its_revert() {
    for scene in both_with(TABLES) {
        let before = count(&scene, "on_both");
        migrated(&scene, "V2__change.sql", "-- bustard: change cache on_both on c, \"b\"\n");
        assert!(count(&scene, "on_both") > before);
        assert_eq!(tables(&scene, "on_both"), ["b", "c"]);
        for (table, expected) in [("a", false), ("b", true), ("c", true)] {
            let insert = format!("INSERT INTO {table} VALUES (1)");
            assert_eq!(invalidates(&scene, "on_both", &insert), expected, "{table}");
        }
        retracks(&scene, 0);
        migrated(&scene, "V3__again.sql", "-- bustard: change cache on_both on a\n");
        migrated(&scene, "V4__off.sql", "-- bustard: unregister cache on_both\n");
        assert_eq!(triggers(&scene).len(), each(&scene));
        for expected in [["a"].as_slice(), &["b", "c"], &["a", "b"]] {
            bustard(&scene, &["revert", "--steps", "1"]).success();
            assert_eq!(tables(&scene, "on_both"), expected);
            retracks_none(&scene);
        }
        assert!(invalidates(&scene, "on_both", "INSERT INTO a VALUES (3)"));
        assert!(!invalidates(&scene, "on_both", "INSERT INTO c VALUES (3)"));
        assert_eq!(triggers(&scene).len(), 2 * each(&scene));
    }
}

#[track_caller]
fn retracks_none(scene: &Scene) {
    assert_eq!(missing_triggers(scene), []);
}

/// A change is also possible in code, in a repeatable migration, and in `down`.
#[test]
fn other_places_of_a_change() {
    for scene in both_with(TABLES) {
        let repeatable = "-- bustard: change cache on_a on b\n";
        migrated(&scene, "R__tables.sql", repeatable);
        assert_eq!(tables(&scene, "on_a"), ["b"]);
        migrated(&scene, "R__tables.sql", "-- bustard: change cache on_a on b, c\n");
        assert_eq!(tables(&scene, "on_a"), ["b", "c"]);
        let down = "SELECT 1;\n-- bustard: change cache on_both on c\n-- bustard: down\n-- bustard: change cache on_both on b\n";
        migrated(&scene, "V2__down.sql", down);
        assert_eq!(tables(&scene, "on_both"), ["c"]);
        bustard(&scene, &["revert", "--steps", "1"]).success();
        assert_eq!(tables(&scene, "on_both"), ["b"]);
    }
}

#[test]
fn a_change_by_another_app_and_of_an_unknown_cache() {
    for scene in both_with(TABLES) {
        bustard(&scene, &["caches", "register", "by_hand"]).success();
        for (cache, message) in
            [("by_hand", "belongs to no app"), ("nothing", "the cache nothing is not registered")]
        {
            scene.file("V2__x.sql", format!("-- bustard: change cache {cache} on a\n"));
            scene.migrate(&[]).exits(1).complains(message).complains("V2__x.sql:1:1");
        }
        if scene.is_postgres() {
            let refused = |sql: &str| {
                let error = scene.database().client().batch_execute(sql).expect_err("it is refused");
                error.code().map(|state| state.code().to_owned()).expect("the server refuses it")
            };
            assert_eq!(refused("SELECT bustard.change_cache('on_a', 'other', 'a')"), "42501");
            assert_eq!(refused("SELECT bustard.change_cache('on_a', NULL, 'a')"), "42501");
            assert_eq!(refused("SELECT bustard.change_cache('nothing', 'main', 'a')"), "42704");
            assert_eq!(refused("SELECT bustard.change_cache_back('nothing')"), "42704");
            assert_eq!(refused("SELECT bustard.change_cache('on_a', 'main', 'nothing')"), "42P01");
        }
        assert_eq!(tables(&scene, "on_a"), ["a"]);
    }
}

#[test]
fn registering_needs_read_committed() {
    let scene = postgres_with(TABLES);
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        for call in [
            "register_cache('x')",
            "register_cache_on('x', 'main', 'a')",
            "ensure_cache('on_a', 'main', 'b')",
            "change_cache('on_a', 'main', 'b')",
            "change_cache_back('on_a')",
            "unregister_cache('on_a')",
            "register_cache_again('on_a')",
        ] {
            let mut client = scene.database().client();
            let sql = format!("BEGIN ISOLATION LEVEL {level}; SELECT bustard.{call}");
            let error = client.batch_execute(&sql).expect_err("it is refused");
            assert_eq!(error.code().map(|state| state.code()), Some("25001"), "{call}");
        }
    }
}

/// The names of tables reach triggers and functions as names, whatever they contain.
#[test]
fn hostile_names_of_tables() {
    for name in ["a\"; DROP TABLE canary; --", "%", "%s %I %L", "$f$", "$body$ $$", "it's \\ E'", "ü"] {
        let quoted = format!("\"{}\"", name.replace('"', "\"\""));
        for scene in both_with(&format!(
            "CREATE TABLE canary (id integer);\nCREATE TABLE {quoted} (id integer);\n-- bustard: register cache odd on {quoted}\n"
        )) {
            for (rows, sql) in
                [(1, "INSERT INTO TABLE VALUES (1)"), (1, "DELETE FROM TABLE"), (0, "DELETE FROM TABLE")]
            {
                assert_eq!(counted(&scene, "odd", &sql.replace("TABLE", &quoted)), rows, "{name}");
            }
            retracks(&scene, 0);
            scene.execute("SELECT * FROM canary");
            migrated(&scene, "V2__change.sql", "-- bustard: change cache odd on canary\n");
            assert_eq!(triggers(&scene).len(), each(&scene), "{name}");
            bustard(&scene, &["revert", "--steps", "1"]).success();
            assert!(invalidates(&scene, "odd", &format!("INSERT INTO {quoted} VALUES (2)")), "{name}");
        }
    }
}

/// `check` finds every change of a trigger or its function that Bustard has not made, and a
/// run puts it right. Versions that were read meanwhile are obsolete.
#[test]
fn what_is_edited_is_found_and_put_right() {
    for (why, edit) in [
        ("disabled", "ALTER TABLE a DISABLE TRIGGER ALL"),
        ("disabled", "ALTER TABLE a ENABLE REPLICA TRIGGER $INSERT"),
        ("triggers", "DROP TRIGGER $INSERT ON a"),
        ("triggers", "DROP FUNCTION $FUNCTION() CASCADE"),
        (
            "edited",
            "CREATE OR REPLACE FUNCTION $FUNCTION() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN NULL; END'",
        ),
        ("edited", "ALTER FUNCTION $FUNCTION() SECURITY INVOKER"),
        ("edited", "ALTER FUNCTION $FUNCTION() SET search_path = public"),
        (
            "edited",
            "CREATE OR REPLACE TRIGGER $INSERT AFTER INSERT ON a REFERENCING NEW TABLE AS changed \
                    FOR EACH STATEMENT WHEN (false) EXECUTE FUNCTION $FUNCTION()",
        ),
        (
            "edited",
            "CREATE OR REPLACE TRIGGER $INSERT AFTER UPDATE ON a REFERENCING NEW TABLE AS changed \
                    FOR EACH STATEMENT EXECUTE FUNCTION $FUNCTION()",
        ),
        (
            "edited",
            "CREATE FUNCTION foreign_function() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; \
                    CREATE OR REPLACE TRIGGER $INSERT AFTER INSERT ON a FOR EACH STATEMENT EXECUTE FUNCTION foreign_function()",
        ),
        (
            "edited",
            "ALTER FUNCTION $FUNCTION() RENAME TO other; \
                    CREATE FUNCTION $FUNCTION() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        ),
        ("edited", "UPDATE bustard.source SET body = NULL WHERE table_name = 'a'"),
    ] {
        let scene = postgres_with(TABLES);
        let insert = scene.value("SELECT bustard.trigger_name('insert', 'public', 'a')");
        let edit = edit.replace("$FUNCTION", &function(&scene, "a")).replace("$INSERT", &insert);
        scene.execute(&edit);
        assert_eq!(missing_triggers(&scene)[0], ("public.a".to_owned(), why.to_owned()), "{edit}");
        bustard(&scene, &["check"]).exits(3);
        let before = count(&scene, "on_both");
        scene.execute("SELECT bustard.install_triggers()");
        assert_eq!(count(&scene, "on_both") - before, 1, "{edit}");
        assert_eq!(counted(&scene, "on_a", "INSERT INTO a VALUES (1)"), 1, "{edit}");
        bustard(&scene, &["check"]).exits(0);
    }
    let scene = Scene::sqlite();
    migrated(&scene, "V1__first.sql", TABLES);
    let name = triggers(&scene)[0].split(' ').nth(1).expect("a name").to_owned();
    let edited = format!("DROP TRIGGER {name}; CREATE TRIGGER {name} AFTER INSERT ON a BEGIN SELECT 1; END");
    for (why, edit) in [("triggers", format!("DROP TRIGGER {name}")), ("edited", edited)] {
        scene.execute(&edit);
        assert_eq!(missing_triggers(&scene)[0], ("a".to_owned(), why.to_owned()), "{edit}");
        retracks(&scene, 2);
        assert!(invalidates(&scene, "on_a", "INSERT INTO a VALUES (abs(random()))"), "{edit}");
    }
}

/// The ids of sources and caches are never given to others.
#[test]
fn ids_are_never_used_again() {
    for scene in both_with(TABLES) {
        let ids = match scene.is_postgres() {
            true => {
                "SELECT string_agg(id || name, ' ' ORDER BY id) FROM (SELECT id, name FROM bustard.cache UNION ALL SELECT id, table_name FROM bustard.source) AS s"
            }
            false => {
                "SELECT group_concat(id || name, ' ') FROM (SELECT id, name FROM bustard_cache UNION ALL SELECT id, table_name FROM bustard_source ORDER BY 1)"
            }
        };
        let before = scene.value(ids);
        migrated(
            &scene,
            "V2__off.sql",
            "-- bustard: unregister cache on_a\n-- bustard: unregister cache on_both\n",
        );
        assert_eq!(triggers(&scene), [""; 0]);
        migrated(
            &scene,
            "V3__on.sql",
            "-- bustard: register cache new on c\n-- bustard: register cache on_a on b\n",
        );
        let after = scene.value(ids);
        assert!(after.starts_with(&before), "{before} {after}");
        let numbers: Vec<&str> =
            after.split(' ').map(|id| id.trim_end_matches(|c: char| !c.is_ascii_digit())).collect();
        let distinct: std::collections::BTreeSet<_> = numbers.iter().collect();
        assert_eq!(numbers.len(), distinct.len(), "{after}");
    }
}

/// Replaces a text of one of Bustard's own functions in a database.
fn seed(scene: &Scene, file: &str, find: &str, instead: &str) {
    assert_eq!(file.matches(find).count(), 1, "{find}");
    scene.execute(&file.replace(find, instead));
}

/// Runs `statement` on another connection, and `then` when it waits for a lock or is done.
/// Returns whether it waited.
fn beside(scene: &Scene, statement: &str, then: impl FnOnce()) -> bool {
    let mut client = scene.database().client();
    let process: i32 = client.query_one("SELECT pg_backend_pid()", &[]).expect("it answers").get(0);
    thread::scope(|scope| {
        let running = scope.spawn(move || client.batch_execute(statement));
        let waits = format!("SELECT count(*) FROM pg_locks WHERE pid = {process} AND NOT granted");
        let waits = || loop {
            if scene.value(&waits) == "1" {
                return true;
            } else if running.is_finished() {
                return false;
            }
            thread::yield_now();
        };
        let waited = waits();
        then();
        running.join().expect("it does not panic").unwrap_or_else(|error| panic!("{statement}: {error}"));
        waited
    })
}

/// Puts a function right while a transaction is open whose statement ran the edited function,
/// which writes no event. Returns whether a version that is read after that becomes obsolete
/// at the commit of the writer, whose row the reader of the version has not seen.
fn a_late_writer_is_counted(fault: bool) -> bool {
    let scene = postgres_with(TABLES);
    let name = function(&scene, "a");
    scene.execute(&format!(
        "CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN NULL; END'"
    ));
    if fault {
        // Only the function is written.
        let file = include_str!("../../../migrations/R__install_sources.postgres.sql");
        seed(
            &scene,
            file,
            "        BEGIN\n            EXECUTE",
            "        CONTINUE;\n        BEGIN\n            EXECUTE",
        );
    }
    let mut writer = scene.database().client();
    writer.batch_execute("BEGIN; INSERT INTO a VALUES (1)").expect("it writes");
    let look = || scene.value("SELECT bustard.get_version('on_a') || ' ' || count(*) FROM a");
    let mut seen = look();
    let waited = beside(&scene, "SELECT bustard.install_triggers()", || {
        if !waits_for_writer(&scene) {
            seen = look();
        }
        writer.batch_execute("COMMIT").expect("it commits");
    });
    assert_eq!(waited, !fault);
    let now = look();
    let version = |seen: &str| seen.split(' ').next().map(str::to_owned);
    assert!(seen.ends_with(" 0") && now.ends_with(" 1"));
    version(&seen) != version(&now)
}

/// Returns whether a session waits for a lock on a table.
fn waits_for_writer(scene: &Scene) -> bool {
    scene.value("SELECT count(*) FROM pg_locks WHERE relation = 'a'::regclass AND NOT granted") != "0"
}

#[test]
fn a_function_is_replaced_under_the_lock_of_its_table() {
    assert!(a_late_writer_is_counted(false));
    assert!(!a_late_writer_is_counted(true), "the test does not find a missing lock");
}

/// The first cache on a table waits for writers too.
#[test]
fn a_new_source_waits_for_writers() {
    let scene = postgres_with(TABLES);
    let mut writer = scene.database().client();
    writer.batch_execute("BEGIN; INSERT INTO c VALUES (1)").expect("it writes");
    let register = "SELECT bustard.register_cache_on('on_c', 'main', 'c')";
    assert!(beside(&scene, register, || writer.batch_execute("COMMIT").expect("it commits")));
}

/// Removes a source while a transaction is open that has written to its table, and commits
/// the writer before the change where the change does not wait. Returns the version that a
/// reader saw before the change committed, and the version after it.
fn versions_around_a_removal(fault: Option<(&str, &str, &str)>) -> (i64, i64) {
    let scene = postgres_with(TABLES);
    if let Some((file, find, instead)) = fault {
        seed(&scene, file, find, instead);
    }
    let mut writer = scene.database().client();
    writer
        .batch_execute("BEGIN; INSERT INTO a VALUES (1); UPDATE a SET id = 2; DELETE FROM a")
        .expect("it writes");
    let version = || scene.value("SELECT bustard.get_version('on_both')").parse::<i64>().expect("a version");
    let mut changing = scene.database().client();
    let process: i32 = changing.query_one("SELECT pg_backend_pid()", &[]).expect("it answers").get(0);
    thread::scope(|scope| {
        let (done, is_done) = std::sync::mpsc::channel();
        let (commit, may_commit) = std::sync::mpsc::channel::<()>();
        scope.spawn(move || {
            changing
                .batch_execute("BEGIN; SELECT bustard.change_cache('on_both', 'main', 'b')")
                .expect("it changes");
            done.send(()).expect("it is received");
            may_commit.recv().expect("it is sent");
            changing.batch_execute("COMMIT").expect("it commits");
            done.send(()).expect("it is received");
        });
        let waits = format!("SELECT count(*) FROM pg_locks WHERE pid = {process} AND NOT granted");
        let changed = loop {
            if scene.value(&waits) == "1" {
                break false;
            } else if is_done.try_recv().is_ok() {
                break true;
            }
        };
        writer.batch_execute("COMMIT").expect("it commits");
        if !changed {
            is_done.recv().expect("it changes");
        }
        let before = version();
        commit.send(()).expect("it is received");
        is_done.recv().expect("it commits");
        (before, version())
    })
}

#[test]
fn a_removed_source_counts_as_what_it_has_come_to() {
    let (before, after) = versions_around_a_removal(None);
    assert_eq!((after >> 23) - (before >> 23), 1, "the change itself is one event");
}

/// In this fault, a removal does not wait for writers: its carry misses what readers see.
#[test]
fn a_removal_without_the_lock() {
    let file = include_str!("../../../migrations/R__set_sources.postgres.sql");
    let (before, after) =
        versions_around_a_removal(Some((file, "PERFORM bustard.lock_writers(removed);", "")));
    assert!(after < before, "the test does not find a missing lock");
}

/// In this fault, what a removed source has come to is lost.
#[test]
fn a_removal_without_a_carry() {
    let file = include_str!("../../../migrations/R__set_sources.postgres.sql");
    let fault = (file, "c.carry_n OPERATOR(pg_catalog.+) r.n", "c.carry_n");
    let (before, after) = versions_around_a_removal(Some(fault));
    assert!(after < before, "the test does not find a missing carry");
}

/// In this fault, a change has no event of its own: one version belongs to two sets of
/// sources.
#[test]
fn a_change_without_an_event() {
    let file = include_str!("../../../migrations/R__change_cache.postgres.sql");
    let event =
        "    INSERT INTO bustard.event (cell) VALUES (found_id::bigint OPERATOR(pg_catalog.<<) 12);\n";
    let (before, after) = versions_around_a_removal(Some((file, event, "")));
    assert_eq!(after, before, "the test does not find a missing event");
}
