//! Rows about how a connection is made.

use crate::support::Project;

fn project() -> Project {
    let project = Project::new();
    project.file("migrations/V1__one.sql", "CREATE TABLE one (id INTEGER);\n");
    project
}

#[test]
fn a17_a_path_is_decoded_or_refused() {
    let project = project();
    for (url, file) in [
        ("sqlite:a%20b.db", "a b.db"),
        ("sqlite://c%23d.db", "c#d.db"),
        ("sqlite:%7Etilde.db", "~tilde.db"),
        ("sqlite:100%25.db", "100%.db"),
        ("sqlite:file%3Ax.db", "file:x.db"),
        ("sqlite:%3Amemory%3A", ":memory:"),
        ("sqlite:q%3Fmode=ro", "q?mode=ro"),
    ] {
        let outcome = project.bustard(&["migrate", "--database-url", url]).success();
        assert!(project.path().join(file).is_file(), "{url}: {outcome}");
        // The URL that is shown leads to the same file.
        let shown = outcome.stdout.lines().next().and_then(|line| line.strip_prefix("database: SQLite "));
        let shown = shown.and_then(|line| line.split_once(" (from")).expect("it is named").0;
        project.bustard(&["check", "--database-url", shown]).exits(0);
    }
    let before = project.files("");
    for url in [
        "sqlite:",
        "sqlite:~/x.db",
        "sqlite:x.db?mode=rwc",
        "sqlite:x.db#a",
        "sqlite:x%.db",
        "sqlite:x%FF.db",
        "sqlite:x%00.db",
        "sqlite:x.db\n",
        "sqlite:file:x.db",
    ] {
        for command in ["migrate", "check", "plan"] {
            let outcome = project.bustard(&[command, "--database-url", url]).exits(2);
            assert!(outcome.stderr.contains("help: "), "{url}: {outcome}");
        }
        project.config(&format!("[database]\nurl = {url:?}\n"));
        if url != "sqlite:" {
            project.bustard(&["migrate"]).exits(2).complains("help: ");
        }
    }
    std::fs::remove_file(project.path().join("bustard.toml")).unwrap();
    assert_eq!(project.files(""), before, "nothing is made");
}

#[test]
fn a17_a_directory_is_never_made() {
    let project = project();
    for (url, said) in [
        ("sqlite:no/such/x.db", "no/such does not exist"),
        ("sqlite:migrations/V1__one.sql/x.db", "migrations/V1__one.sql is no directory"),
        ("sqlite:migrations", "it is a directory"),
    ] {
        let outcome = project.bustard(&["migrate", "--database-url", url]).exits(1);
        outcome.complains(said).complains("help: ");
    }
    project.bustard(&["check", "--database-url", "sqlite:x.db"]).exits(3).complains("does not exist yet");
    assert!(!project.path().join("no").exists() && !project.path().join("x.db").exists());
}

#[test]
fn a18_migrations_compute() {
    let project = project();
    project.file(
        "migrations/V2__two.sql",
        "CREATE TABLE two AS SELECT sqrt(2) AS root, pow(2, 10) AS power, floor(-1.5) AS low, log(2, 8) AS three;
         CREATE TABLE three (x REAL CHECK (ceil(x) < 10), y REAL AS (exp(x)) STORED);
         INSERT INTO three VALUES (1.5);\n",
    );
    project.bustard(&["migrate", "--database-url", "sqlite:app.db"]).success();
    let row = "SELECT round(root, 9) || ' ' || power || ' ' || low || ' ' || three FROM two";
    let row: String = project.sqlite("app.db").query_row(row, [], |row| row.get(0)).unwrap();
    assert_eq!(row, "1.414213562 1024.0 -2.0 3.0");
    project.file("migrations/V3__three.sql", "INSERT INTO three VALUES (9.5);\n");
    project.bustard(&["migrate", "--database-url", "sqlite:app.db"]).exits(1).complains("CHECK");
}
