//! A24: what is not there yet, and the right cause of what does not work.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use bustard::{Database as Connection, Migrator};

use crate::support::{Cluster, Database, Outcome, PgBouncer, Pooling, Project, unprivileged};

#[test]
fn a24_a_file_that_does_not_exist_yet_is_an_empty_database() {
    let project = Project::new();
    project
        .file("migrations/V1__a.sql", "CREATE TABLE numbered_1 (id INTEGER);\n")
        .file("migrations/V2__b.sql", "CREATE TABLE numbered_2 (id INTEGER);\n");
    let run = |command: &[&str]| project.bustard(&[command, &["--database-url", "sqlite:app.db"]].concat());
    run(&["plan"]).success().says("V2__b").complains("app.db does not exist yet");
    run(&["plan", "--sql"]).success().says("CREATE TABLE numbered_2");
    run(&["status"]).success().says("2 pending");
    run(&["check"]).exits(3).says("2 pending");
    run(&["apps"]).success();
    assert_eq!(run(&["check", "--json"]).exits(3).json()["up_to_date"], false);
    run(&["uninstall", "main", "--yes"]).exits(1).complains("no records of what is installed");
    run(&["caches", "list"]).exits(1).complains("it does not exist");
    run(&["disable", "main"]).exits(1).complains("it does not exist");
    assert!(!project.path().join("app.db").exists(), "a command that only looks made the file");
    for command in ["plan", "status", "check"] {
        let outcome = project.bustard(&[command, "--database-url", "sqlite:no/such/app.db"]).exits(1);
        outcome.complains("cannot open the SQLite file no/such/app.db");
    }
    assert!(!project.path().join("no").exists());
    // A run on the same handle then makes the file.
    let mut database = Connection::new(&project.sqlite_url("app.db")).expect("the URL is good");
    let migrator = || Migrator::new().app(bustard::App::directory("main", project.path().join("migrations")));
    let planned = migrator().plan(&mut database).expect("it is empty").steps;
    assert_eq!(planned.iter().filter(|step| step.app == "main").count(), 2);
    assert!(!project.path().join("app.db").exists());
    migrator().run(&mut database).expect("nothing prevents it");
    assert!(migrator().plan(&mut database).expect("it is there").steps.is_empty());
    assert!(project.sqlite_schema("app.db").contains("numbered_2"));
}

#[test]
fn a24_a_pooler_in_statement_mode_is_the_cause() {
    let cluster = Cluster::start_with(&[]);
    let database = Database::on(&cluster);
    let pooler = PgBouncer::start_pooling(&cluster, &["postgres"], Pooling::Statement, 1);
    let url = pooler.url("postgres", database.name());
    let project = Project::new();
    project.numbered_migrations(1);
    for arguments in [&[][..], &["--json"]] {
        let outcome = project.bustard(&[&["migrate", "--database-url", &url], arguments].concat()).exits(1);
        let text = outcome.stdout.clone() + &outcome.stderr;
        assert!(
            text.contains("pooler that allows no transactions") && text.contains("pool_mode"),
            "{outcome}"
        );
        assert!(!text.contains("was lost"), "{outcome}");
    }
    project.bustard(&["migrate", "--database-url", &database.url()]).success();
    project.bustard(&["check", "--database-url", &url]).success();
}

/// Runs the command as a user who may read everything, and write nothing.
fn as_reader(project: &Project, arguments: &[&str]) -> Outcome {
    let program = project.path().join("bustard");
    if !program.exists() {
        std::fs::copy(env!("CARGO_BIN_EXE_bustard"), &program).expect("it is copied");
    }
    let mut command = project.command_of(&program, arguments);
    if let Some((uid, gid)) = unprivileged() {
        command.uid(uid).gid(gid);
    }
    let mode = |mode| set_permissions(project.path(), Permissions::from_mode(mode)).expect("it is ours");
    set_permissions(project.path().join("app.db"), Permissions::from_mode(0o444)).expect("it is ours");
    mode(0o555);
    let outcome = Outcome::of(command);
    mode(0o755);
    outcome
}

#[test]
fn a24_a_sqlite_file_in_a_read_only_place() {
    for (journal, reads) in [("wal", false), ("delete", true)] {
        let project = Project::new();
        project.file("migrations/V1__a.sql", "CREATE TABLE numbered_1 (id INTEGER);\n");
        project.bustard(&["migrate", "--database-url", "sqlite:app.db"]).success();
        let mode = format!("PRAGMA journal_mode = {journal}");
        project.sqlite("app.db").query_row(&mode, [], |_| Ok(())).expect("it is changed");
        for command in ["check", "status", "plan"] {
            let outcome = as_reader(&project, &[command, "--database-url", "sqlite:app.db"]);
            assert!(!outcome.stderr.contains("was lost"), "{outcome}");
            match reads {
                true => outcome.success(),
                false => outcome
                    .exits(1)
                    .complains("it is in WAL mode")
                    .complains("cannot open the SQLite file app.db"),
            };
        }
        project.file("migrations/V2__b.sql", "CREATE TABLE b (id INTEGER);\n");
        let outcome = as_reader(&project, &["migrate", "--database-url", "sqlite:app.db"]).exits(1);
        assert!(!outcome.stderr.contains("was lost"), "{outcome}");
        outcome.complains(if reads { "read-only" } else { "it is in WAL mode" });
    }
}
