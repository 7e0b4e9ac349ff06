//! A9: dumps, COPY with its rows, and BEGIN with COMMIT around a migration.

use bustard::{App, Migration, Migrator};

use crate::support::{Binaries, Cluster, Database, PgBouncer, Pooling, Scene};

/// Objects of a database to dump. The rows look like everything that must not be read in
/// them.
const SOURCE: &str = r#"
CREATE TYPE mood AS ENUM ('it''s', 'ok;');
CREATE TABLE "Odd ; name" (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text, mood mood, double int GENERATED ALWAYS AS (1 + 1) STORED);
COMMENT ON TABLE "Odd ; name" IS 'it''s; $$ odd';
INSERT INTO "Odd ; name" (note, mood) VALUES
    ('it''s', 'it''s'), ('-- bustard: down', 'ok;'), (E'\n-- bustard: down\nDROP TABLE x;\n', NULL), (E'\\.', NULL), (E'tab\there', NULL),
    ('$$', NULL), ('/*', NULL), ('COMMIT;', NULL), ('\restrict x', NULL), ('COPY a FROM stdin;', NULL), (NULL, NULL), ('', NULL),
    (E'\r\n', NULL), ('-- +goose Down', NULL), ('é🦀', NULL);
CREATE TABLE child (id int REFERENCES "Odd ; name", at timestamptz DEFAULT now());
INSERT INTO child VALUES (1, '2020-01-01'), (2, NULL);
CREATE TABLE empty ();
CREATE VIEW odd AS SELECT note FROM "Odd ; name" WHERE note <> ';';
CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM child;
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN $1 * 2 END; END;
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN NEW.at := coalesce(NEW.at, '2021-01-01'); RETURN NEW; END $f$;
CREATE TRIGGER noted BEFORE INSERT ON child FOR EACH ROW EXECUTE FUNCTION noted();
CREATE RULE nothing AS ON DELETE TO child DO ALSO (SELECT 1; SELECT 2);
CREATE SEQUENCE numbers START 7;
SELECT nextval('numbers');
SELECT lo_from_bytea(4711, 'it''s; BEGIN'), lo_from_bytea(4712, decode(repeat('00ff', 20000), 'hex'));
CREATE SCHEMA other;
CREATE TABLE other.copied (a text);
INSERT INTO other.copied SELECT repeat('x', 100) FROM generate_series(1, 2000);
"#;

/// Everything that must be the same after a dump was restored.
#[track_caller]
fn restored(database: &Database<'_>) -> String {
    let data = "SELECT string_agg(t::text, '|' ORDER BY id) FROM \"Odd ; name\" t \
        UNION ALL SELECT string_agg(c::text, '|' ORDER BY id) FROM child c UNION ALL SELECT count::text FROM counted \
        UNION ALL SELECT md5(string_agg(a, '')) || count(*) FROM other.copied UNION ALL SELECT last_value::text FROM numbers \
        UNION ALL SELECT string_agg(oid || md5(lo_get(oid)), ',' ORDER BY oid) FROM pg_largeobject_metadata";
    format!("{}{:?}", database.schema(&["bustard", "public.refinery_schema_history"]), database.psql(data))
}

fn pg_dump(database: &Database<'_>, arguments: &[&str]) -> Option<String> {
    let major = |text: &str| text.split(|c: char| !c.is_ascii_digit()).find_map(|n| n.parse::<u32>().ok());
    let version = Binaries::find().client_command("pg_dump").arg("--version").output().ok()?;
    if major(&String::from_utf8_lossy(&version.stdout)) < major(&database.value("SHOW server_version")) {
        return None;
    }
    let mut command = Binaries::find().client_command("pg_dump");
    let output = command.args(arguments).arg("--dbname").arg(database.url()).output().ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).expect("the dump is UTF-8"))
}

#[test]
fn a9_a_plain_dump_is_a_first_migration() {
    let source = Database::new();
    source.client().batch_execute(SOURCE).expect("it is accepted");
    for extension in ["citext", "hstore"] {
        if source.value(&format!("SELECT count(*) FROM pg_available_extensions WHERE name = '{extension}'"))
            == "1"
        {
            source.psql(&format!("CREATE EXTENSION {extension}"));
        }
    }
    let expected = restored(&source);
    for arguments in [&[][..], &["--inserts"], &["--no-owner", "--quote-all-identifiers"]] {
        let Some(dump) = pg_dump(&source, arguments) else {
            println!("pg_dump is older than the server");
            return;
        };
        for dump in [dump.clone(), dump.replace('\n', "\r\n")] {
            let crlf = dump.contains('\r') && !arguments.contains(&"--inserts");
            if dump.contains("\r\n") && !crlf {
                // Line ends within literals are data.
                continue;
            }
            let scene = Scene::postgres();
            scene.file("V1__dump.sql", &dump).file("V2__next.sql", "CREATE TABLE later AS SELECT 1 AS id;\n");
            let outcome = scene.migrate(&[]).success();
            assert!(outcome.stderr.contains("note: `BEGIN` and `COMMIT` are left out"), "{outcome}");
            assert_eq!(scene.applied(), "1,2");
            assert_eq!(scene.value("SELECT count(*) FROM public.later"), "1");
            scene.database().psql("DROP TABLE public.later");
            if !dump.contains("\r\n") {
                assert_eq!(restored(scene.database()), expected, "{arguments:?}");
            }
            scene.project.bustard(&["status", "--database-url", &scene.url()]).success();
        }
    }
}

/// A dump in the form of a version of pg_dump.
fn written(restrict: bool, transaction_timeout: bool) -> String {
    let (open, close) = match restrict {
        true => ("\\restrict 0eUzA9\n\n", "\\unrestrict 0eUzA9\n\n"),
        false => ("", ""),
    };
    let timeout = if transaction_timeout { "SET transaction_timeout = 0;\n" } else { "" };
    format!(
        "--\n-- PostgreSQL database dump\n--\n\n{open}-- Dumped from database version 18.4\n-- Dumped by pg_dump version 18.4\n\n\
         SET statement_timeout = 0;\nSET lock_timeout = 0;\nSET idle_in_transaction_session_timeout = 0;\n{timeout}\
         SET client_encoding = 'UTF8';\nSET standard_conforming_strings = on;\n\
         SELECT pg_catalog.set_config('search_path', '', false);\nSET check_function_bodies = false;\n\
         SET xmloption = content;\nSET client_min_messages = warning;\nSET row_security = off;\n\n\
         SET default_tablespace = '';\n\nSET default_table_access_method = heap;\n\n\
         --\n-- Name: foo; Type: TABLE; Schema: public; Owner: postgres\n--\n\n\
         CREATE TABLE public.foo (\n    id integer NOT NULL,\n    note text\n);\n\n\nALTER TABLE public.foo OWNER TO postgres;\n\n\
         --\n-- Name: 16390; Type: BLOB METADATA; Schema: -; Owner: postgres\n--\n\n\
         SELECT pg_catalog.lo_create('16390');\nSELECT pg_catalog.lo_create('16391');\n\n\
         --\n-- Data for Name: foo; Type: TABLE DATA; Schema: public; Owner: postgres\n--\n\n\
         COPY public.foo (id, note) FROM stdin;\n1\tit's\n2\t\\N\n\\.\n\n\n\
         --\n-- Data for Name: 16390; Type: BLOBS; Schema: -; Owner: postgres\n--\n\n\
         BEGIN;\n\nSELECT pg_catalog.lo_open('16390', 131072);\nSELECT pg_catalog.lowrite(0, '\\x61');\n\
         SELECT pg_catalog.lo_close(0);\n\nCOMMIT;\n\nBEGIN;\n\nSELECT pg_catalog.lo_open('16391', 131072);\n\
         SELECT pg_catalog.lowrite(0, '\\x62');\nSELECT pg_catalog.lo_close(0);\n\nCOMMIT;\n\n\
         --\n-- Name: foo foo_pkey; Type: CONSTRAINT; Schema: public; Owner: postgres\n--\n\n\
         ALTER TABLE ONLY public.foo\n    ADD CONSTRAINT foo_pkey PRIMARY KEY (id);\n\n\n\
         --\n-- PostgreSQL database dump complete\n--\n\n{close}"
    )
}

#[test]
fn a9_dumps_in_the_form_of_other_versions() {
    let newest = Scene::postgres();
    let knows_timeout = newest.value("SELECT current_setting('server_version_num')::int >= 170000") == "t";
    for (restrict, timeout) in [(false, false), (true, false), (false, true), (true, true)] {
        let scene = Scene::postgres();
        scene.file("V1__dump.sql", written(restrict, timeout));
        if timeout && !knows_timeout {
            let outcome = scene.migrate(&[]).exits(1);
            assert!(outcome.stderr.contains("transaction_timeout"), "{outcome}");
            assert!(outcome.stderr.contains("does not know the setting"), "{outcome}");
            assert!(outcome.stderr.contains("V1__dump.sql:"), "{outcome}");
            continue;
        }
        let outcome = scene.migrate(&[]).success();
        assert!(outcome.stderr.contains("`BEGIN` and `COMMIT` are left out, 2 times"), "{outcome}");
        let data = "SELECT string_agg(concat(id, note), ',' ORDER BY id) || lo_get(16390)::text || lo_get(16391)::text FROM foo";
        assert_eq!(scene.value(data), "1it's,2\\x61\\x62");
    }
}

const ROWS: &str =
    "1\tit's\n2\t$$\n3\t-- bustard: down\n-4\tCOMMIT;\n5\t/*\n6\t\\restrict x\n7\tCOPY rows FROM stdin;\n";

/// A migration with rows, among statements before and after them.
fn with_rows(line_end: &str) -> String {
    let text = format!(
        "CREATE TABLE rows (id int, note text);\nINSERT INTO rows VALUES (0, 'first');\n\
         COPY rows FROM stdin; -- the rows\n{ROWS}-- +goose Down\\tx\n\\.\n\
         COPY rows (note, id) FROM stdin (FORMAT csv, HEADER);\nnote,id\n\"a\nb\",8\n\\.\n\
         INSERT INTO rows VALUES (9, 'it''s; last');\n"
    );
    text.replace("-- +goose Down\\tx\n", "").replace('\n', line_end)
}

const READ: &str = "SELECT string_agg(concat(id, note), '|' ORDER BY abs(id)) FROM rows";

const EXPECTED: &str =
    "0first|1it's|2$$|3-- bustard: down|-4COMMIT;|5/*|6\restrict x|7COPY rows FROM stdin;|8a\nb|9it's; last";

#[test]
fn a9_copy_on_every_connection() {
    let cluster = Cluster::start_with(&[]);
    let app = || App::new("main").migration("V1__rows", Migration::new().sql(with_rows("\n")));
    let read = |database: &Database<'_>| {
        let row = database.client().query_one(READ, &[]).expect("the query is good");
        assert_eq!(row.get::<_, String>(0), EXPECTED);
    };
    let database = Database::on(&cluster);
    Migrator::new()
        .app(app())
        .run(&mut bustard::Database::new(&database.url()).expect("a URL"))
        .expect("it runs");
    read(&database);

    let database = Database::on(&cluster);
    let mut client = database.client();
    Migrator::new().app(app()).run(&mut client).expect("it runs");
    read(&database);
    assert_eq!(client.query_one("SELECT 42", &[]).expect("it lives").get::<_, i32>(0), 42);

    let database = Database::on(&cluster);
    let function = Migration::new().run("nothing", |_| Ok(()));
    let mut connection = bustard::Database::new(&database.url()).expect("a URL");
    Migrator::new().app(app().migration("V2__function", function)).run(&mut connection).expect("it runs");
    read(&database);

    for pooling in [Pooling::Transaction, Pooling::Session] {
        let database = Database::on(&cluster);
        let pooler = PgBouncer::start_pooling(&cluster, &["postgres"], pooling, 1);
        let url = pooler.url("postgres", database.name());
        for _ in 0..2 {
            Migrator::new()
                .app(app())
                .run(&mut bustard::Database::new(&url).expect("a URL"))
                .expect("it runs");
        }
        read(&database);
    }

    let scene = Scene::postgres();
    scene.file("V1__rows.sql", with_rows("\r\n"));
    let plan = scene.project.bustard(&["plan", "--sql", "--database-url", &scene.url()]).success();
    assert!(
        plan.stdout.contains("7\tCOPY rows FROM stdin;\n") || plan.stdout.contains("FROM stdin;"),
        "{plan}"
    );
    scene.migrate(&[]).success();
    assert_eq!(scene.value("SELECT count(*) FROM rows"), "10");
}

#[test]
fn a9_errors_of_copy_name_the_row() {
    let table = "CREATE TABLE t (id int PRIMARY KEY, n text, password text);\n";
    for (sql, line, sqlstate, message) in [
        ("COPY t FROM stdin;\n1\ta\tb\nx\ta\tb\n\\.\n", 4, "22P02", "line 2"),
        ("COPY t (id, n) FROM stdin;\n1\ta\n2\tb\n1\tc\n\\.\n", 5, "23505", "line 3"),
        ("SELECT 1;\n\nCOPY t (id) FROM stdin;\n\n1\n\\.\n", 5, "22P02", "line 1"),
        ("COPY t (id, n) FROM stdin;\n1\ta\tb\n\\.\n", 3, "22P04", "extra data"),
        ("COPY gone FROM stdin;\n1\n\\.\n", 2, "42P01", "\"gone\" does not exist"),
        ("COPY t (id, gone) FROM stdin;\n1\n\\.\n", 2, "42703", "\"gone\" of relation \"t\""),
        ("COPY t (id id) FROM stdin;\n1\n\\.\n", 2, "42601", "syntax error"),
        ("COPY t (id, password) FROM stdin;\n1\ta\n2\n\\.\n", 4, "22P04", "missing data"),
        ("COPY t (id, password) FROM stdin;\n1\ta\n2\thunter2\thunter3\n\\.\n", 4, "22P04", "extra data"),
        ("COPY t (id) FROM stdin;\n1\n\\.\nSELECT 1 / 0;\n", 5, "22012", "division by zero"),
    ] {
        let text = format!("{table}{sql}");
        let scene = Scene::postgres();
        scene.file("V1__t.sql", &text);
        let outcome = scene.migrate(&[]).exits(1);
        assert!(outcome.stderr.contains(&format!("V1__t.sql:{line}:")), "{sql}: {outcome}");
        assert!(outcome.stderr.contains(message), "{sql}: {outcome}");
        assert!(!outcome.stderr.contains("hunter"), "{sql}: {outcome}");
        assert_eq!(scene.value("SELECT count(*) FROM pg_class WHERE relname = 't'"), "0");

        // On a connection of the caller, which stays usable.
        let mut client = scene.database().client();
        let app = App::directory("main", scene.project.path().join("migrations"));
        let error = Migrator::new().app(app).run(&mut client).expect_err("it fails");
        assert_eq!(error.sqlstate(), Some(sqlstate), "{sql}: {error:#}");
        let place = error.place().and_then(bustard::diagnostic::Place::line);
        assert_eq!(place, Some(line), "{sql}: {error:#}");
        assert_eq!(client.query_one("SELECT 42", &[]).expect("it lives").get::<_, i32>(0), 42, "{sql}");
    }
}

#[test]
fn a9_rows_revert_a_migration() {
    let scene = Scene::postgres();
    scene.file("V1__t.sql", "CREATE TABLE t (n text);\n");
    let down = "-- bustard: down\nBEGIN;\nCOPY t FROM stdin;\nit's\n-- bustard: down\n\\.\nCOMMIT;\n";
    scene.file("V2__u.sql", format!("CREATE TABLE u (n text);\n{down}"));
    scene.migrate(&[]).success();
    scene.project.bustard(&["revert", "--steps", "1", "--database-url", &scene.url()]).success();
    assert_eq!(scene.value("SELECT string_agg(n, '|') FROM t"), "it's|-- bustard: down");
}

#[test]
fn a9_copy_is_refused_on_sqlite() {
    let scene = Scene::sqlite();
    scene
        .file("V1__a.sql", "CREATE TABLE a (t text);\n")
        .file("V2__b.sql", "SELECT 1;\nCOPY a FROM stdin;\nit's\n\\.\nSELECT 2;\n");
    let outcome = scene.migrate(&[]).exits(2);
    assert!(outcome.stderr.contains("V2__b.sql:2:1") && outcome.stderr.contains("has no COPY"), "{outcome}");
    assert_eq!(outcome.stderr.matches("error: ").count(), 1, "{outcome}");
    assert_eq!(scene.contents(), "");
}

#[test]
fn a9_a_pair_around_a_migration_is_left_out() {
    for scene in Scene::both() {
        for (n, (before, begin, commit, after)) in [
            ("", "BEGIN", "COMMIT", ""),
            ("-- first\n/* and */ ", "begin", "commit", "-- last"),
            ("", "BEGIN TRANSACTION", "END", ""),
            (
                if scene.is_postgres() {
                    "SET lock_timeout = '9s'; SELECT set_config('work_mem', '9MB', false);"
                } else {
                    "PRAGMA foreign_keys=OFF;"
                },
                "BEGIN",
                "COMMIT",
                if scene.is_postgres() { "RESET lock_timeout;" } else { "PRAGMA foreign_keys=ON;" },
            ),
        ]
        .into_iter()
        .enumerate()
        {
            scene.file(
                &format!("V{}__a.sql", n + 1),
                format!("{before}\n{begin};\nCREATE TABLE a{n} (x int);\nINSERT INTO a{n} VALUES (1);\n{commit};\n{after}\n"),
            );
        }
        let outcome = scene.migrate(&[]).success();
        assert_eq!(
            outcome.stderr.matches("note: `BEGIN` and `COMMIT` are left out\n").count(),
            4,
            "{outcome}"
        );
        assert!(outcome.stderr.contains("V1__a.sql:2:1"), "{outcome}");
        assert_eq!(scene.applied(), "1,2,3,4");
        // It is atomic with its history.
        scene.file("V5__b.sql", "BEGIN;\nCREATE TABLE b (x int);\nSELECT nosuch();\nCOMMIT;\n");
        let outcome = scene.migrate(&["--json"]).exits(1);
        assert_eq!(outcome.json()["error"]["code"], "statement-failed", "{outcome}");
        assert_eq!(scene.applied(), "1,2,3,4");
        assert!(!scene.contents().contains(" b:"), "the table is still there");
    }
}

#[test]
fn a9_other_transactions_are_errors() {
    for scene in Scene::both() {
        let before = scene.contents();
        for (text, lines) in [
            ("CREATE TABLE a (x int);\nBEGIN;\nSELECT 1;\nCOMMIT;\n", &[2, 4][..]),
            ("BEGIN;\nSELECT 1;\nCOMMIT;\nSELECT 2;\n", &[1, 3]),
            ("BEGIN;\nSELECT 1;\nCOMMIT;\nBEGIN;\nSELECT 2;\nCOMMIT;\n", &[1, 3, 4, 6]),
            ("BEGIN;\nSELECT 1;\nROLLBACK;\n", &[1, 3]),
            ("BEGIN;\nSELECT 1;\nCOMMIT AND CHAIN;\n", &[1, 3]),
            ("BEGIN ISOLATION LEVEL SERIALIZABLE;\nSELECT 1;\nCOMMIT;\n", &[1, 3]),
            ("BEGIN IMMEDIATE;\nSELECT 1;\nCOMMIT;\n", &[1, 3]),
            ("BEGIN;\nSELECT 1;\nABORT;\n", &[1, 3]),
            ("BEGIN;\nSELECT 1;\nPREPARE TRANSACTION 'x';\n", &[1, 3]),
            ("BEGIN;\nSELECT 1;\n", &[1]),
            ("SELECT 1;\nCOMMIT;\n", &[2]),
        ] {
            scene.file("V1__a.sql", text);
            let outcome = scene.migrate(&["--json"]).exits(2);
            let document = outcome.json();
            let found = document["error"]["diagnostics"].as_array().expect("a list");
            let places: Vec<u64> = found.iter().filter_map(|one| one["line"].as_u64()).collect();
            let expected: Vec<u64> = lines.iter().map(|line| u64::from(*line as u32)).collect();
            assert_eq!(places, expected, "{text}: {outcome}");
            assert!(found.iter().all(|one| one["code"] == "transaction-control"), "{text}: {outcome}");
        }
        assert_eq!(scene.contents(), before);
    }
}
