//! What SQLite refuses in a migration.

use super::{Cure, File as Sqlite, Row, help_of, row};
use bustard::{App, Migrator};

use Cure::{Fake, File, Nothing};

#[track_caller]
fn check(rows: &[Row]) {
    for row in rows {
        row.check(&Sqlite::new());
    }
}

const EXISTS: &[&str] = &["exists already", "`bustard migrate --fake`"];

#[test]
fn kind10_what_sqlite_refuses() {
    check(&[
        row("INSERT INTO absent VALUES (1)", "1", &["-- bustard: depends on APP VERSION"], File("CREATE TABLE absent (i); INSERT INTO absent VALUES (1);")),
        row("SELECT \"no\" || no_column", "1", &["single quotes"], File("SELECT 'no' || 'thing';")),
        row("SELECT no_such_function(1)", "1", &["functions that an application adds"], File("SELECT abs(1);")),
        row("CREATE VIRTUAL TABLE v USING no_such_module(x)", "1", &["module"], Nothing),
        row("CREATE TABL x (i)", "1", &["at the mark"], File("CREATE TABLE x (i);")),
        row("CREATE TABLE made (i)", "1", EXISTS, Fake).with_hand("CREATE TABLE made (i)"),
        row("CREATE INDEX made ON base (i)", "1", EXISTS, Fake).after("CREATE TABLE base (i)").with_hand("CREATE INDEX made ON base (i)"),
        row("CREATE VIEW made AS SELECT 1", "1", EXISTS, Fake).with_hand("CREATE VIEW made AS SELECT 1"),
        row("ALTER TABLE base ADD COLUMN made", "1", EXISTS, Fake).after("CREATE TABLE base (i)").with_hand("ALTER TABLE base ADD COLUMN made"),
        row("ALTER TABLE base ADD COLUMN j NOT NULL", "1", &["DEFAULT"], File("ALTER TABLE base ADD COLUMN j NOT NULL DEFAULT 0;")).after("CREATE TABLE base (i); INSERT INTO base VALUES (1)"),
        row("ALTER TABLE base ADD COLUMN j UNIQUE", "1", &["CREATE UNIQUE INDEX"], File("ALTER TABLE base ADD COLUMN j; CREATE UNIQUE INDEX u ON base (j);")).after("CREATE TABLE base (i)"),
        row("ALTER TABLE base DROP COLUMN i", "1", &["create it again"], File("DROP INDEX x; ALTER TABLE base DROP COLUMN i;")).after("CREATE TABLE base (i, j); CREATE INDEX x ON base (i)"),
        row("ALTER TABLE base DROP COLUMN i", "1", &["create the table anew"], File("CREATE TABLE n (j); INSERT INTO n SELECT j FROM base; DROP TABLE base; ALTER TABLE n RENAME TO base;")).after("CREATE TABLE base (i PRIMARY KEY, j)"),
        row("INSERT INTO u VALUES (1)", "2067", &["the same key"], File("INSERT OR IGNORE INTO u VALUES (1);")).after("CREATE TABLE u (i UNIQUE); INSERT INTO u VALUES (1)"),
        row("CREATE UNIQUE INDEX x ON u (i)", "2067", &["the same key"], File("DELETE FROM u; CREATE UNIQUE INDEX x ON u (i);")).after("CREATE TABLE u (i); INSERT INTO u VALUES (1), (1)"),
        row("INSERT INTO u VALUES (1)", "1555", &["the same key"], File("INSERT OR IGNORE INTO u VALUES (1);")).after("CREATE TABLE u (i INTEGER PRIMARY KEY); INSERT INTO u VALUES (1)"),
        row("INSERT INTO u VALUES (NULL)", "1299", &["DEFAULT"], File("INSERT INTO u VALUES (0);")).after("CREATE TABLE u (i NOT NULL)"),
        row("INSERT INTO u VALUES (0)", "275", &["CHECK"], File("INSERT INTO u VALUES (1);")).after("CREATE TABLE u (i CHECK (i > 0))"),
        row("INSERT INTO u VALUES ('x')", "20", &["INTEGER PRIMARY KEY"], File("INSERT INTO u VALUES (1);")).after("CREATE TABLE u (i INTEGER PRIMARY KEY)"),
        row("INSERT INTO u VALUES ('x')", "3091", &["STRICT"], File("INSERT INTO u VALUES (1);")).after("CREATE TABLE u (i INT) STRICT"),
        row("INSERT INTO u VALUES (1)", "1811", &["RAISE"], File("DROP TRIGGER no; INSERT INTO u VALUES (1);")).after("CREATE TABLE u (i); CREATE TRIGGER no BEFORE INSERT ON u BEGIN SELECT RAISE(ABORT, 'no such table: x'); END"),
        row("SELECT zeroblob(2147483647)", "18", &["too large"], File("SELECT 1;")),
        row(
            "PRAGMA max_page_count = 40; CREATE TABLE large (b); INSERT INTO large VALUES (zeroblob(1000000))",
            "13",
            &["max_page_count"],
            File("CREATE TABLE large (b); INSERT INTO large VALUES (zeroblob(1000000));"),
        ),
    ]);
}

/// Foreign keys are checked before the commit.
#[test]
fn kind10_foreign_keys_of_sqlite() {
    let file = Sqlite::new();
    let project = &file.0;
    let migrator = || Migrator::new().app(App::directory("main", project.path().join("migrations")));
    project.file(
        "migrations/V1__bad.sql",
        "CREATE TABLE p (i INTEGER PRIMARY KEY); CREATE TABLE c (p REFERENCES p); INSERT INTO c VALUES (7);\n",
    );
    for outcome in [super::Place::run(&file, migrator()), super::Place::run_on_callers(&file, migrator())] {
        let error = outcome.expect_err("it is violated");
        assert!(help_of(&error).contains("insert their parents"), "{error:#}");
    }
    project.file(
        "migrations/V1__bad.sql",
        "CREATE TABLE p (i INTEGER PRIMARY KEY); CREATE TABLE c (p REFERENCES p); INSERT INTO p VALUES (7); INSERT INTO c VALUES (7);\n",
    );
    super::Place::run(&file, migrator()).expect("the parents are there");
}

/// A database that is damaged, and one that another process holds.
#[test]
fn kind10_files_of_sqlite() {
    let file = Sqlite::new();
    let project = &file.0;
    let migrator = || Migrator::new().app(App::directory("main", project.path().join("migrations")));
    project.file("migrations/V1__a.sql", "CREATE TABLE t (i); INSERT INTO t VALUES (1);\n");
    super::Place::run(&file, migrator()).expect("nothing prevents it");
    let page = project
        .sqlite("app.db")
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 't'", [], |row| row.get::<_, i64>(0))
        .expect("it is there");
    let path = project.path().join("app.db");
    let mut bytes = std::fs::read(&path).expect("it is readable");
    let page = usize::try_from(page).expect("it is positive");
    bytes[(page - 1) * 4096..page * 4096].fill(0x5a);
    std::fs::write(&path, bytes).expect("it is writable");
    project.file("migrations/V2__b.sql", "INSERT INTO t VALUES (2);\n");
    let error = super::Place::run(&file, migrator()).expect_err("it is damaged");
    assert!(help_of(&error).contains("PRAGMA integrity_check"), "{error:#}");

    std::fs::write(&path, "no database at all, but longer than a header of one hundred bytes, ".repeat(9))
        .expect("it is writable");
    let error = super::Place::run(&file, migrator()).expect_err("it is none");
    assert!(error.advice().is_some(), "{error:#}");
}
