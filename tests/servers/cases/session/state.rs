//! A2: no session state outlives its migration.

use bustard::{App, Database as Connection, Migration, Migrator, TransactionMode};
use postgres::fallible_iterator::FallibleIterator as _;
use postgres::{Client, NoTls, SimpleQueryMessage};

use crate::support::{Cluster, Database, LOCK, PgBouncer, Pooling, Scene};

/// The statements with which a migration leaves state in the session. For each kind of
/// state that `DISCARD ALL` resets, there are entries for its variants.
const LEFT: &[(&str, &str)] = &[
    ("nothing", "SELECT 1"),
    ("temporary table", "CREATE TEMP TABLE users (id int)"),
    ("temporary table that is emptied", "CREATE TEMP TABLE users (id int) ON COMMIT DELETE ROWS"),
    ("temporary view", "CREATE TEMP VIEW users AS SELECT 1 AS id"),
    ("temporary sequence", "CREATE TEMP SEQUENCE users; SELECT nextval('users')"),
    ("temporary function", "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'"),
    ("temporary type", "CREATE TYPE pg_temp.pair AS (a int, b int)"),
    ("temporary domain", "CREATE DOMAIN pg_temp.small AS int CHECK (VALUE < 10)"),
    (
        "temporary enum and its table",
        "CREATE TYPE pg_temp.e AS ENUM ('a'); CREATE TEMP TABLE es (e pg_temp.e)",
    ),
    (
        "temporary table with deferred checks",
        "CREATE TEMP TABLE u (id int UNIQUE DEFERRABLE INITIALLY DEFERRED); INSERT INTO u VALUES (1); UPDATE u SET id = 2",
    ),
    ("temporary table from a block", "DO $$ BEGIN EXECUTE 'CREATE TEMP TABLE users (id int)'; END $$"),
    ("cursor with hold", "DECLARE c CURSOR WITH HOLD FOR SELECT 1"),
    (
        "cursor on a temporary table",
        "CREATE TEMP TABLE users AS SELECT 1 AS id; DECLARE c CURSOR FOR TABLE users; FETCH c",
    ),
    ("prepared statement", "PREPARE p AS SELECT 1"),
    ("prepared statement with an odd name", "PREPARE \"a \"\"'$x$; b\" AS SELECT 1"),
    ("prepared statement from a block", "DO $$ BEGIN EXECUTE 'PREPARE p AS SELECT 1'; END $$"),
    ("channel", "LISTEN users"),
    ("channel with an odd name", "LISTEN \"a \"\"'$x$; b\""),
    ("advisory lock", "SELECT pg_advisory_lock(7)"),
    ("advisory lock, negative", "SELECT pg_advisory_lock(-7)"),
    ("advisory lock, twice", "SELECT pg_advisory_lock(7), pg_advisory_lock(7), pg_try_advisory_lock(7)"),
    ("advisory lock, shared", "SELECT pg_advisory_lock_shared(7)"),
    ("advisory lock, two keys", "SELECT pg_advisory_lock(-1, 7), pg_advisory_lock_shared(1, -7)"),
    ("the migration lock", "SELECT pg_advisory_lock(27713686451876452)"),
    ("setting", "SET work_mem = '7MB'"),
    ("setting, local", "SET LOCAL work_mem = '7MB'"),
    ("setting, session", "SET SESSION statement_timeout = '1h'"),
    ("setting by a function", "SELECT set_config('TimeZone', 'Asia/Tokyo', false)"),
    ("setting of all transactions", "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"),
    ("search path", "SET search_path = pg_catalog"),
    ("replication role", "SET session_replication_role = replica"),
    ("placeholder", "SET my.x = 'y'"),
    ("role", "SET ROLE {role}"),
    ("role, local", "SET LOCAL ROLE {role}"),
    ("session authorization", "SET SESSION AUTHORIZATION {role}; SET ROLE {role}"),
    ("constraints", "SET CONSTRAINTS ALL DEFERRED"),
    ("value of a sequence", "SELECT nextval('numbers')"),
];

/// Describes the state of the session.
const STATE: &str = "concat_ws(' | ',
    'temporary ' || (SELECT count(*) FROM pg_depend
        WHERE refclassid = 'pg_namespace'::regclass AND refobjid = pg_my_temp_schema()),
    'cursors ' || (SELECT coalesce(string_agg(name, ',' ORDER BY name), '') FROM pg_cursors
        WHERE name NOT IN ('', '<unnamed portal 1>')),
    'prepared ' || (SELECT coalesce(string_agg(name, ',' ORDER BY name), '')
        FROM pg_prepared_statements WHERE from_sql),
    'channels ' || (SELECT coalesce(string_agg(c, ',' ORDER BY c), '') FROM pg_listening_channels() c),
    'locks ' || (SELECT coalesce(string_agg(format('%s/%s/%s %s', classid, objid, objsubid, mode), ',' ORDER BY objid), '')
        FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory' AND (classid, objid) <> (6452595, 1952543332)),
    'settings ' || (SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) FROM pg_settings WHERE name IN
        ('work_mem', 'statement_timeout', 'TimeZone', 'default_transaction_read_only', 'search_path',
        'session_replication_role', 'client_min_messages')),
    'placeholder ' || coalesce(current_setting('my.x', true), ''),
    'user ' || session_user || ' ' || current_user || ' ' || current_setting('role'),
    'sequence ' || public.last_value_used())";

const SEQUENCE: &str = "CREATE FUNCTION public.last_value_used() RETURNS text LANGUAGE plpgsql AS
    'BEGIN RETURN lastval(); EXCEPTION WHEN object_not_in_prerequisite_state THEN RETURN ''none''; END';
    CREATE SEQUENCE public.numbers;
    CREATE TABLE public.seen (name text, state text)";

/// Creates the objects that the migrations and the probes require. Returns the role of
/// `LEFT`.
fn prepare(database: &Database<'_>) -> String {
    database.psql(SEQUENCE);
    database.create_role("left", "SUPERUSER")
}

fn record(name: &str) -> Migration {
    Migration::new().sql(format!("INSERT INTO public.seen SELECT $n${name}$n$, {STATE}"))
}

/// Returns an app with a migration for each entry, followed by a migration that records the
/// state that it sees.
fn leaving(label: &str, role: &str) -> App {
    LEFT.iter().enumerate().fold(App::new(label), |app, (i, (name, left))| {
        let left = Migration::new().sql(left.replace("{role}", role));
        app.migration(format!("V{}__leave", 2 * i + 1), left)
            .migration(format!("V{}__record", 2 * i + 2), record(name))
    })
}

/// Returns a migrator for an app whose migration leaves the state of this entry, and then
/// fails.
fn failing(i: usize, role: &str) -> Migrator {
    let left = LEFT[i].1.replace("{role}", role);
    let migration = Migration::new().sql(format!("{left}; SELECT 1 / 0 AS failed"));
    Migrator::new().app(App::new(format!("failing_{i}")).migration("V1__leave", migration))
}

/// Asserts that every migration saw the same state as the first migration.
#[track_caller]
fn all_saw_the_same(database: &Database<'_>, context: &str) {
    let rows = database.psql("SELECT name, state FROM public.seen");
    assert_eq!(rows.len(), LEFT.len(), "{context}");
    let wrong: Vec<&Vec<String>> = rows.iter().filter(|row| row[1] != rows[0][1]).collect();
    assert!(wrong.is_empty(), "{context}: expected {}, and not {wrong:#?}", rows[0][1]);
    database.psql("TRUNCATE public.seen");
}

#[track_caller]
fn no_lock_is_left(database: &Database<'_>) {
    let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(database.value(locks), "0", "an advisory lock is left");
}

/// Returns the state of a client's session.
#[track_caller]
fn state(client: &mut Client) -> String {
    let rows = client.simple_query(&format!("SELECT {STATE}")).expect("the query is good");
    let first = rows.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    first.expect("there is one row").to_owned()
}

const MODES: [TransactionMode; 2] = [TransactionMode::Each, TransactionMode::All];

#[test]
fn a2_nothing_outlives_a_migration_on_our_own_connection() {
    for mode in MODES {
        let database = Database::new();
        let role = prepare(&database);
        let mut connection = Connection::new(&database.url()).expect("the URL is good");
        Migrator::new()
            .app(leaving("main", &role))
            .transaction(mode)
            .run(&mut connection)
            .expect("nothing prevents it");
        all_saw_the_same(&database, &format!("{mode:?}"));
        no_lock_is_left(&database);
        // With a function the connection is the driver's, but still Bustard's own.
        let function = Migration::new().run("nothing", |_| Ok(()));
        let app = leaving("functions", &role).migration("V1000__function", function);
        Migrator::new().app(app).transaction(mode).run(&mut connection).expect("nothing prevents it");
        all_saw_the_same(&database, &format!("{mode:?} with a function"));
        no_lock_is_left(&database);
    }
}

#[test]
fn a2_nothing_outlives_a_failed_migration_on_our_own_connection() {
    let database = Database::new();
    let role = prepare(&database);
    let mut connection = Connection::new(&database.url()).expect("the URL is good");
    for (i, (name, _)) in LEFT.iter().enumerate() {
        let error = failing(i, &role).run(&mut connection).expect_err("it divides by zero");
        assert_eq!(error.sqlstate(), Some("22012"), "{name}: {error}");
        no_lock_is_left(&database);
        let app = App::new(format!("recording_{i}")).migration("V1__record", record(name));
        Migrator::new().app(app).run(&mut connection).expect("nothing prevents it");
    }
    all_saw_the_same(&database, "after failures");
}

/// The caller's own state stays, whatever the migration leaves.
#[test]
fn a2_on_a_callers_connection_only_what_was_added_goes() {
    const OWN: &str = "
        CREATE TEMP TABLE mine (id int); CREATE FUNCTION pg_temp.mine() RETURNS int LANGUAGE sql AS 'SELECT 1';
        DECLARE mine CURSOR WITH HOLD FOR SELECT 1; PREPARE mine AS SELECT 1;
        LISTEN mine; LISTEN \"a 'quoted' \"\"one\"\"\"; SELECT pg_advisory_lock(77), pg_advisory_lock(77), pg_advisory_lock_shared(-1, 78);
        SET work_mem = '9MB'; SET TimeZone = 'Europe/Berlin'; SET my.own = 'kept'; SET search_path = public, pg_temp";
    for (mode, own) in MODES.into_iter().flat_map(|mode| [(mode, ""), (mode, OWN)]) {
        let database = Database::new();
        let role = prepare(&database);
        let mut client = database.client();
        client.batch_execute(own).expect("it is accepted");
        client.batch_execute("SELECT nextval('public.numbers')").expect("it is accepted");
        let (before, settings) = (state(&mut client), sources(&mut client));
        Migrator::new()
            .app(leaving("main", &role))
            .transaction(mode)
            .run(&mut client)
            .expect("nothing prevents it");
        // The server does not tell of custom settings, nor which sequence had a last value.
        database.psql(
            "UPDATE public.seen SET state = regexp_replace(regexp_replace(state, 'sequence.*', ''), 'placeholder y', 'placeholder ')",
        );
        all_saw_the_same(&database, &format!("{mode:?}"));
        let same = |client: &mut Client, context: &str| {
            let now = state(client).replace("placeholder y", "placeholder ");
            assert_eq!(now.split("sequence").next(), before.split("sequence").next(), "{mode:?} {context}");
            assert_eq!(sources(client), settings, "{mode:?} {context}");
        };
        same(&mut client, "after a run");
        for (i, (name, _)) in LEFT.iter().enumerate() {
            let error = failing(i, &role).transaction(mode).run(&mut client).expect_err("it fails");
            assert_eq!(error.sqlstate(), Some("22012"), "{name}: {error}");
            same(&mut client, name);
        }
        if !own.is_empty() {
            client
                .batch_execute("EXECUTE mine; FETCH mine; SELECT pg_temp.mine(); TABLE mine")
                .expect("they are there");
            client
                .batch_execute("SELECT 1 / pg_advisory_unlock(77)::int, 1 / pg_advisory_unlock(77)::int")
                .expect("it was held twice");
            database.psql("SELECT pg_notify('mine', 'heard')");
            let heard = client.notifications().timeout_iter(std::time::Duration::from_secs(20)).next();
            assert!(matches!(heard, Ok(Some(_))), "the channel is gone");
        }
        drop(client);
    }
}

/// The settings of a session that are not the defaults.
fn sources(client: &mut Client) -> String {
    let sql = "SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) FROM pg_settings
        WHERE source = 'session' AND name NOT LIKE 'transaction\\_%'";
    client.query_one(sql, &[]).expect("the query is good").get::<_, Option<String>>(0).unwrap_or_default()
}

/// One connection to the server, which the application gets after the run.
#[test]
fn a2_nothing_stays_on_a_pooled_connection() {
    let cluster = Cluster::start_with(&[]);
    for pooling in [Pooling::Transaction, Pooling::Session] {
        let database = Database::on(&cluster);
        let role = prepare(&database);
        let pooler = PgBouncer::start_pooling(&cluster, &["postgres"], pooling, 1);
        let url = pooler.url("postgres", database.name());
        let after = || state(&mut Client::connect(&url, NoTls).expect("the pooler answers"));
        let expected = after();
        let connect = || Connection::new(&url).expect("the URL is good");
        for mode in MODES {
            let app = leaving(&format!("{mode:?}").to_lowercase(), &role);
            Migrator::new().app(app).transaction(mode).run(&mut connect()).expect("nothing prevents it");
            all_saw_the_same(&database, &format!("{pooling:?} {mode:?}"));
            no_lock_is_left(&database);
            assert_eq!(after(), expected, "{pooling:?} {mode:?}");
        }
        for (i, (name, _)) in LEFT.iter().enumerate() {
            let error = failing(i, &role).run(&mut connect()).expect_err("it divides by zero");
            assert_eq!(error.sqlstate(), Some("22012"), "{name}: {error}");
            no_lock_is_left(&database);
            assert_eq!(after(), expected, "{pooling:?} {name}");
        }
    }
}

/// One run and two runs give the same database.
#[test]
fn a2_one_run_and_two_runs_give_the_same_database() {
    for mode in ["each", "all"] {
        let contents = [1, 2].map(|runs| {
            Scene::both().map(|scene| {
                scene.file(
                    "V1__temporary.sql",
                    "CREATE TEMP TABLE users (id int);\nINSERT INTO users VALUES (0);\n",
                );
                if runs == 2 {
                    scene.migrate(&["--transaction", mode]).success();
                }
                scene
                    .file("V2__users.sql", "CREATE TABLE users (id int);\n")
                    .file("V3__row.sql", "INSERT INTO users VALUES (1);\n");
                scene.migrate(&["--transaction", mode]).success();
                scene.value("SELECT count(*) || ' ' || max(id) FROM users")
            })
        });
        assert_eq!(contents, [["1 1", "1 1"], ["1 1", "1 1"]].map(|pair| pair.map(str::to_owned)));
    }
}

/// A plan that was made under a migration's settings is not used after it.
#[test]
fn a2_no_plan_outlives_its_migration() {
    let scene = Scene::postgres();
    let plan = "CREATE TABLE t (id int PRIMARY KEY);\n\
        INSERT INTO t SELECT generate_series(1, 10000);\nANALYZE t;\n\
        CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS 'BEGIN PERFORM FROM t WHERE id = 7; END';\n\
        SET enable_indexscan = off; SET enable_indexonlyscan = off; SET enable_bitmapscan = off;\n\
        SELECT f();\n";
    let scans = "SELECT f();\nCREATE TABLE scans AS SELECT idx_scan FROM pg_stat_xact_user_tables WHERE relname = 't';\n";
    scene.file("V1__plan.sql", plan).file("V2__scans.sql", scans);
    scene.migrate(&[]).success();
    assert_eq!(scene.value("SELECT idx_scan FROM scans"), "1");
}

/// Deferred constraints are checked at the end of each migration, as if it committed, and
/// the next migration in the same transaction begins with deferred constraints again.
#[test]
fn a2_constraints_are_as_declared_in_each_migration() {
    let tables = "CREATE TABLE parent (id int PRIMARY KEY);\n\
        CREATE TABLE child (id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED);\n\
        CREATE TABLE strict (id int REFERENCES parent DEFERRABLE);\n";
    for mode in ["each", "all"] {
        let scene = Scene::postgres();
        scene
            .file("V1__tables.sql", tables)
            .file("V2__late.sql", "INSERT INTO child VALUES (1);\nINSERT INTO parent VALUES (1);\n")
            .file("V3__deferred.sql", "SET CONSTRAINTS ALL DEFERRED;\nINSERT INTO strict VALUES (2);\nINSERT INTO parent VALUES (2);\n");
        scene.migrate(&["--transaction", mode]).success();
        scene.file("V4__strict.sql", "INSERT INTO strict VALUES (3);\nINSERT INTO parent VALUES (3);\n");
        scene.migrate(&["--transaction", mode]).exits(1).complains("V4__strict").complains("strict_id_fkey");
        scene
            .file("V4__strict.sql", "INSERT INTO child VALUES (4);\n")
            .file("V5__parent.sql", "INSERT INTO parent VALUES (4);\n");
        scene.migrate(&["--transaction", mode]).exits(1).complains("V4__strict").complains("child_id_fkey");
    }
}

/// The letters of the key, as two numbers, in `STATE`.
#[test]
fn a2_the_migration_lock_is_known() {
    assert_eq!((LOCK >> 32, LOCK & 0xffff_ffff), (6_452_595, 1_952_543_332));
}

/// What a migration leaves on a SQLite connection, and what shows it.
const LEFT_ON_SQLITE: &[(&str, &str, &str)] = &[
    ("temporary table", "CREATE TEMP TABLE users (id INTEGER PRIMARY KEY, n UNIQUE)", TEMPORARY),
    ("temporary view", "CREATE TEMP VIEW v AS SELECT 1", TEMPORARY),
    (
        "temporary trigger",
        "CREATE TEMP TRIGGER t AFTER INSERT ON main.seen BEGIN DELETE FROM seen; END",
        TEMPORARY,
    ),
    ("temporary full-text table", "CREATE VIRTUAL TABLE temp.f USING fts5(t)", TEMPORARY),
    ("query_only", "CREATE TEMP TABLE u (id); PRAGMA query_only = ON", "PRAGMA query_only"),
    ("writable_schema", "PRAGMA writable_schema = ON", "PRAGMA writable_schema"),
    ("case_sensitive_like", "PRAGMA case_sensitive_like = ON", "SELECT 'a' LIKE 'A'"),
    ("recursive_triggers", "PRAGMA recursive_triggers = ON", "PRAGMA recursive_triggers"),
    ("defer_foreign_keys", "PRAGMA defer_foreign_keys = ON", "PRAGMA defer_foreign_keys"),
    ("cache_size", "PRAGMA cache_size = 7", "PRAGMA cache_size"),
    ("busy_timeout", "PRAGMA busy_timeout = 7", "PRAGMA busy_timeout"),
    ("locking_mode", "PRAGMA locking_mode = EXCLUSIVE", "PRAGMA locking_mode"),
    ("max_page_count", "PRAGMA max_page_count = 7777", "PRAGMA max_page_count"),
    ("short_column_names", "PRAGMA short_column_names = OFF", "PRAGMA short_column_names"),
    ("wal_autocheckpoint", "PRAGMA wal_autocheckpoint = 7", "PRAGMA wal_autocheckpoint"),
];

const TEMPORARY: &str = "SELECT group_concat(name) FROM sqlite_temp_master";

#[test]
fn a2_nothing_outlives_a_migration_on_sqlite() {
    let scene = Scene::sqlite();
    scene.execute("CREATE TABLE seen (id)");
    let mut connection = scene.project.sqlite("app.db");
    connection.execute_batch("CREATE TEMP TABLE mine (id); PRAGMA cache_size = 99").expect("it is accepted");
    let other = scene.project.path().join("mine.db").display().to_string();
    connection.execute("ATTACH ?1 AS mine", [&other]).expect("it is accepted");
    for (i, (name, left, shows)) in LEFT_ON_SQLITE.iter().enumerate() {
        let text = |connection: &rusqlite::Connection| -> rusqlite::types::Value {
            connection.query_row(shows, [], |row| row.get(0)).expect("it has a row")
        };
        let before = text(&connection);
        for (mode, fails) in MODES.into_iter().flat_map(|mode| [(mode, false), (mode, true)]) {
            let end = if fails { "INSERT INTO nowhere VALUES (1)" } else { "SELECT 1" };
            let app = App::new(format!("{mode:?}_{fails}_{i}").to_lowercase())
                .migration("V1__leave", Migration::new().sql(*left))
                .migration("V2__end", Migration::new().sql(end));
            let ran = Migrator::new().app(app).transaction(mode).run(&mut connection);
            assert_eq!(ran.is_err(), fails, "{name}: {ran:?}");
            assert_eq!(text(&connection), before, "{name} {mode:?} {fails}");
        }
    }
    // Only a function can attach a database, and it takes part in the transaction.
    let fresh = scene.project.path().join("left.db").display().to_string();
    for mode in MODES {
        let fresh = fresh.clone();
        let migration = Migration::new().run("attach", move |transaction| {
            let connection = transaction.sqlite().expect("it is SQLite");
            connection.execute("ATTACH ?1 AS fresh", [&fresh])?;
            connection
                .execute_batch("CREATE TABLE IF NOT EXISTS fresh.t (id); INSERT INTO fresh.t VALUES (1)")?;
            Ok(())
        });
        let app = App::new(format!("attach_{mode:?}").to_lowercase()).migration("V1__attach", migration);
        Migrator::new().app(app).transaction(mode).run(&mut connection).expect("nothing prevents it");
        let attached: String = connection
            .query_row(
                "SELECT group_concat(name) FROM pragma_database_list WHERE name <> 'temp'",
                [],
                |row| row.get(0),
            )
            .expect("it has a row");
        assert_eq!(attached, "main,mine");
    }
    connection
        .execute_batch("INSERT INTO mine.sqlite_master SELECT * FROM mine.sqlite_master WHERE 0")
        .unwrap_err();
    connection.execute_batch("INSERT INTO temp.mine VALUES (1)").expect("the caller's table is there");
}

/// What a pragma stores in the file is part of the schema.
#[test]
fn a2_what_is_stored_in_a_sqlite_file_stays() {
    let scene = Scene::sqlite();
    scene.file("V1__numbers.sql", "PRAGMA user_version = 7;\nPRAGMA application_id = 8;\n");
    scene.migrate(&[]).success();
    assert_eq!(
        scene.value(
            "SELECT user_version || ' ' || application_id FROM pragma_user_version, pragma_application_id"
        ),
        "7 8"
    );
}
