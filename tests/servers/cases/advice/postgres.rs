//! What PostgreSQL refuses in a migration, in English and in German.

use bustard::Migration;

use super::{Cure, Place, Row, app_of, german, help_of, row};
use crate::support::{Binaries, Cluster, Database};

use Cure::{Fake, File, Nothing, Two};

const EXISTS: &[&str] = &["exists already", "`bustard migrate --fake`"];
const ABSENT: &[&str] = &["-- bustard: depends on APP VERSION", "SCHEMA.NAME"];

#[track_caller]
fn check(rows: &[Row]) {
    for row in rows {
        for cluster in [Cluster::shared(), german()] {
            row.check(&Database::on(cluster));
        }
    }
}

#[test]
fn kind10_statements_that_need_another_transaction() {
    check(&[
        row(
            "ALTER TYPE mood ADD VALUE 'ok'; CREATE TABLE felt (m mood); INSERT INTO felt VALUES ('ok')",
            "55P04",
            &["ALTER TYPE … ADD VALUE", "an earlier migration of its own", "`--transaction each`"],
            Two(
                "ALTER TYPE mood ADD VALUE 'ok';",
                "CREATE TABLE felt (m mood); INSERT INTO felt VALUES ('ok');",
            ),
        )
        .after("CREATE TYPE mood AS ENUM ('sad')"),
        row(
            "REINDEX TABLE parts",
            "25001",
            &["cannot run in the transaction of a migration", "run it by hand"],
            File("REINDEX TABLE part;"),
        )
        .after(
            "CREATE TABLE parts (i int PRIMARY KEY) PARTITION BY RANGE (i); \
             CREATE TABLE part PARTITION OF parts FOR VALUES FROM (0) TO (9)",
        ),
        row("DO $$ BEGIN EXECUTE 'VACUUM'; END $$", "25001", &["run it by hand"], Nothing),
        row(
            "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            "25001",
            &["leave SET TRANSACTION out"],
            File("SELECT 1;"),
        ),
        row(
            "CALL commits()",
            "2D000",
            &["COMMIT and ROLLBACK", "run it by hand"],
            File(
                "CREATE OR REPLACE PROCEDURE commits() LANGUAGE plpgsql AS $$ BEGIN END $$; CALL commits();",
            ),
        )
        .after("CREATE PROCEDURE commits() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$"),
        row("DO $$ BEGIN ROLLBACK; END $$", "2D000", &["COMMIT and ROLLBACK"], File("SELECT 1;")),
        row(
            "INSERT INTO a VALUES (1); INSERT INTO b VALUES (1); ALTER TABLE b ADD COLUMN c int",
            "55006",
            &["SET CONSTRAINTS ALL IMMEDIATE"],
            File(
                "INSERT INTO a VALUES (1); INSERT INTO b VALUES (1); SET CONSTRAINTS ALL IMMEDIATE; \
                 ALTER TABLE b ADD COLUMN c int;",
            ),
        )
        .after(
            "CREATE TABLE a (id int PRIMARY KEY); \
             CREATE TABLE b (a int REFERENCES a DEFERRABLE INITIALLY DEFERRED)",
        ),
        row(
            "SET TRANSACTION READ ONLY; CREATE TABLE x ()",
            "25006",
            &["read-only", "SET TRANSACTION"],
            File("CREATE TABLE x ();"),
        ),
    ]);
}

#[test]
fn kind10_what_is_absent() {
    check(&[
        row("INSERT INTO t VALUES (1)", "42P01", ABSENT, File("INSERT INTO s.t VALUES (1);"))
            .after("CREATE SCHEMA s; CREATE TABLE s.t (i int)"),
        row(
            "CREATE TABLE nowhere.t (i int)",
            "3F000",
            &["CREATE SCHEMA"],
            File("CREATE SCHEMA nowhere; CREATE TABLE nowhere.t (i int);"),
        ),
        row(
            "CREATE TABLE t (c shape)",
            "42704",
            &["CREATE EXTENSION", "-- bustard: depends on APP VERSION"],
            File("CREATE DOMAIN shape AS text; CREATE TABLE t (c shape);"),
        ),
        row(
            "SELECT make_id()",
            "42883",
            &["CREATE EXTENSION", "argument types"],
            File("CREATE FUNCTION make_id() RETURNS int LANGUAGE sql AS 'SELECT 1'; SELECT make_id();"),
        ),
        row(
            "CREATE FUNCTION c() RETURNS int LANGUAGE c AS 'no_such_library', 'f'",
            "58P01",
            &["the machine of the server"],
            Nothing,
        ),
        row(
            "CREATE TABLE t (a int REFERENCES u (i))",
            "42830",
            &["UNIQUE"],
            File("ALTER TABLE u ADD UNIQUE (i); CREATE TABLE t (a int REFERENCES u (i));"),
        )
        .after("CREATE TABLE u (i int)"),
        row(
            "INSERT INTO u VALUES (1) ON CONFLICT (i) DO NOTHING",
            "42P10",
            &["UNIQUE"],
            File("ALTER TABLE u ADD UNIQUE (i); INSERT INTO u VALUES (1) ON CONFLICT (i) DO NOTHING;"),
        )
        .after("CREATE TABLE u (i int)"),
        row("DROP TABLE t", "42P01", &["write IF EXISTS"], File("DROP TABLE IF EXISTS t;")),
        row("DROP INDEX t", "42704", &["write IF EXISTS"], File("DROP INDEX IF EXISTS t;")),
        row("SELECT no_such FROM t", "42703", &["correct the name of the column"], File("SELECT i FROM t;"))
            .after("CREATE TABLE t (i int)"),
        row(
            "CREATE TABL x (i int)",
            "42601",
            &["at the mark", ".sqlite.sql"],
            File("CREATE TABLE x (i int);"),
        ),
    ]);
    // The code differs between releases of PostgreSQL.
    for cluster in [Cluster::shared(), german()] {
        let database = Database::on(cluster);
        let app = app_of(Migration::new().sql("CREATE EXTENSION no_such_extension"));
        let error = database.run(bustard::Migrator::new().app(app)).expect_err("it does not exist");
        assert!(help_of(&error).contains("install the package of the extension"), "{error:#}");
    }
}

#[test]
fn kind10_what_is_there() {
    check(&[
        row("CREATE TABLE made (i int)", "42P07", EXISTS, Fake).with_hand("CREATE TABLE made (i int)"),
        row("CREATE INDEX made ON base (i)", "42P07", EXISTS, Fake)
            .after("CREATE TABLE base (i int)")
            .with_hand("CREATE INDEX made ON base (i)"),
        row("CREATE TYPE made AS ENUM ()", "42710", EXISTS, Fake).with_hand("CREATE TYPE made AS ENUM ()"),
        row("ALTER TABLE base ADD CONSTRAINT made CHECK (i > 0)", "42710", EXISTS, Fake)
            .after("CREATE TABLE base (i int)")
            .with_hand("ALTER TABLE base ADD CONSTRAINT made CHECK (i > 0)"),
        row("ALTER TABLE base ADD COLUMN made int", "42701", EXISTS, Fake)
            .after("CREATE TABLE base (i int)")
            .with_hand("ALTER TABLE base ADD COLUMN made int"),
        row("CREATE SCHEMA made", "42P06", EXISTS, Fake).with_hand("CREATE SCHEMA made"),
        row("CREATE FUNCTION made() RETURNS int LANGUAGE sql AS 'SELECT 1'", "42723", EXISTS, Fake)
            .with_hand("CREATE FUNCTION made() RETURNS int LANGUAGE sql AS 'SELECT 1'"),
        row(
            "ALTER TABLE v ALTER COLUMN i TYPE bigint",
            "0A000",
            &["view", "drop it before"],
            File("DROP VIEW w; ALTER TABLE v ALTER COLUMN i TYPE bigint; CREATE VIEW w AS SELECT i FROM v;"),
        )
        .after("CREATE TABLE v (i int); CREATE VIEW w AS SELECT i FROM v"),
        row("DROP TABLE v", "2BP01", &["the detail names", "CASCADE"], File("DROP VIEW w; DROP TABLE v;"))
            .after("CREATE TABLE v (i int); CREATE VIEW w AS SELECT i FROM v"),
    ]);
}

#[test]
fn kind10_data_that_violates() {
    check(&[
        row(
            "ALTER TABLE u ADD CONSTRAINT once UNIQUE (i)",
            "23505",
            &["the same key", "once", "the detail names"],
            File("DELETE FROM u; ALTER TABLE u ADD CONSTRAINT once UNIQUE (i);"),
        )
        .after("CREATE TABLE u (i int); INSERT INTO u VALUES (1), (1)"),
        row(
            "INSERT INTO u VALUES (1)",
            "23505",
            &["ON CONFLICT"],
            File("INSERT INTO u VALUES (1) ON CONFLICT DO NOTHING;"),
        )
        .after("CREATE TABLE u (i int UNIQUE); INSERT INTO u VALUES (1)"),
        row(
            "ALTER TABLE c ADD FOREIGN KEY (p) REFERENCES p",
            "23503",
            &["the detail names", "NOT VALID"],
            File("ALTER TABLE c ADD FOREIGN KEY (p) REFERENCES p NOT VALID;"),
        )
        .after("CREATE TABLE p (i int PRIMARY KEY); CREATE TABLE c (p int); INSERT INTO c VALUES (7)"),
        row(
            "DELETE FROM p",
            "23503",
            &["delete the rows that refer to it"],
            File("DELETE FROM c; DELETE FROM p;"),
        )
        .after(
            "CREATE TABLE p (i int PRIMARY KEY); CREATE TABLE c (p int REFERENCES p); \
             INSERT INTO p VALUES (7); INSERT INTO c VALUES (7)",
        ),
        row(
            "ALTER TABLE \"My n\" ALTER COLUMN c SET NOT NULL",
            "23502",
            &["`UPDATE public.\"My n\" SET c = … WHERE c IS NULL`"],
            File("UPDATE public.\"My n\" SET c = 0 WHERE c IS NULL; ALTER TABLE \"My n\" ALTER COLUMN c SET NOT NULL;"),
        )
        .after("CREATE TABLE \"My n\" (i int, c int); INSERT INTO \"My n\" VALUES (1)"),
        row(
            "ALTER TABLE n ADD COLUMN c int NOT NULL",
            "23502",
            &["DEFAULT"],
            File("ALTER TABLE n ADD COLUMN c int NOT NULL DEFAULT 0;"),
        )
        .after("CREATE TABLE n (i int); INSERT INTO n VALUES (1)"),
        row(
            "ALTER TABLE k ADD CONSTRAINT large CHECK (i > 9)",
            "23514",
            &["large", "NOT VALID"],
            File("ALTER TABLE k ADD CONSTRAINT large CHECK (i > 9) NOT VALID;"),
        )
        .after("CREATE TABLE k (i int); INSERT INTO k VALUES (1)"),
        row(
            "INSERT INTO parts VALUES (77)",
            "23514",
            &["partition"],
            File("CREATE TABLE others PARTITION OF parts DEFAULT; INSERT INTO parts VALUES (77);"),
        )
        .after("CREATE TABLE parts (i int) PARTITION BY RANGE (i)"),
        row(
            "INSERT INTO x VALUES ('[1,4]')",
            "23P01",
            &["two rows conflict", "the detail names"],
            File("DELETE FROM x; INSERT INTO x VALUES ('[1,4]');"),
        )
        .after("CREATE TABLE x (r int4range, EXCLUDE USING gist (r WITH &&)); INSERT INTO x VALUES ('[2,3]')"),
        row(
            "ALTER TABLE s ALTER COLUMN t TYPE int USING t::int",
            "22P02",
            &["does not fit the type", "USING"],
            File("UPDATE s SET t = '0' WHERE t !~ '^[0-9]+$'; ALTER TABLE s ALTER COLUMN t TYPE int USING t::int;"),
        )
        .after("CREATE TABLE s (t text); INSERT INTO s VALUES ('x')"),
        row(
            "ALTER TABLE s ALTER COLUMN t TYPE varchar(2)",
            "22001",
            &["does not fit the type"],
            File("ALTER TABLE s ALTER COLUMN t TYPE varchar(2) USING left(t, 2);"),
        )
        .after("CREATE TABLE s (t text); INSERT INTO s VALUES ('long')"),
        row(
            "UPDATE s SET t = (SELECT i FROM generate_series(1, 2) i)",
            "21000",
            &["several rows", "LIMIT 1"],
            File("UPDATE s SET t = (SELECT i FROM generate_series(1, 2) i LIMIT 1);"),
        )
        .after("CREATE TABLE s (t int); INSERT INTO s VALUES (1)"),
        row(
            "INSERT INTO s SELECT 1 FROM generate_series(1, 2) ON CONFLICT (t) DO UPDATE SET t = 1",
            "21000",
            &["DISTINCT"],
            File("INSERT INTO s SELECT DISTINCT 1 FROM generate_series(1, 2) ON CONFLICT (t) DO UPDATE SET t = 1;"),
        )
        .after("CREATE TABLE s (t int UNIQUE)"),
    ]);
}

#[test]
fn kind10_limits_and_raised_errors() {
    let columns: Vec<String> = (0..1601).map(|n| format!("c{n} int")).collect();
    let nulls = vec!["NULL"; 101].join(", ");
    check(&[
        row(
            format!("CREATE TABLE wide ({})", columns.join(", ")),
            "54011",
            &["1,600"],
            File("CREATE TABLE wide ();"),
        ),
        row(format!("SELECT concat_ws({nulls})"), "54023", &["array"], File("SELECT 1;")),
        row("SELECT deep(0)", "54001", &["recursion"], File("SELECT 1;")).after(
            "CREATE FUNCTION deep(i int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN deep(i + 1); END $$",
        ),
        row(
            "SET LOCAL temp_file_limit = '1kB'; SET LOCAL work_mem = '64kB'; \
             SELECT count(*) FROM (SELECT i FROM generate_series(1, 100000) i ORDER BY -i) x",
            "53400",
            &["temp_file_limit"],
            File("SELECT count(*) FROM (SELECT i FROM generate_series(1, 100000) i ORDER BY -i) x;"),
        ),
        row(
            "DO $$ BEGIN RAISE EXCEPTION 'not so'; END $$",
            "P0001",
            &["RAISE", "the message and the context"],
            File("SELECT 1;"),
        ),
    ]);
}

#[test]
fn kind10_a_deferred_constraint_is_refused_at_the_commit() {
    check(&[row(
        "INSERT INTO c VALUES (7)",
        "23503",
        &["a check at the commit failed", "the detail names"],
        File("INSERT INTO p VALUES (7); INSERT INTO c VALUES (7);"),
    )
    .after("CREATE TABLE p (i int PRIMARY KEY); CREATE TABLE c (p int REFERENCES p DEFERRABLE INITIALLY DEFERRED)")]);
}

/// A function uses the transaction that it was given, or the driver.
#[test]
fn kind10_functions_get_the_same_advice() {
    let sql = "INSERT INTO nothing VALUES (1)";
    let given = Migration::new().run("given", move |transaction| Ok(transaction.execute(sql)?));
    let driver = Migration::new().run("driver", move |transaction| {
        transaction.postgres().expect("it is PostgreSQL").batch_execute(sql)?;
        Ok(())
    });
    for migration in [given, driver] {
        let database = Database::new();
        let error = database.run(bustard::Migrator::new().app(app_of(migration))).expect_err("no table");
        assert_eq!(error.sqlstate(), Some("42P01"));
        assert!(ABSENT.iter().all(|part| help_of(&error).contains(part)), "{error:#}");
    }
}

/// The test reads German messages where the server has them.
#[test]
fn kind10_the_other_language_is_another_language() {
    let message = |cluster: &Cluster| {
        let error = cluster.client("postgres").batch_execute("SELECT 1/0").expect_err("it is refused");
        error.as_db_error().map(|error| error.message().to_owned()).unwrap_or_default()
    };
    let (english, other) = (message(Cluster::shared()), message(german()));
    assert_eq!(english, "division by zero");
    eprintln!("the other language says: {other}");
    // Debian's servers are in directories that are named after their version.
    let mut directory = Binaries::find().directory().components();
    let version = directory.find_map(|part| part.as_os_str().to_str()?.parse::<u8>().ok());
    let has_messages = version.is_some_and(|version| {
        std::path::Path::new(&format!("/usr/share/locale/de/LC_MESSAGES/postgres-{version}.mo")).exists()
            && Binaries::find().directory().starts_with("/usr/lib/postgresql")
    });
    assert!(other != english || !has_messages);
}
