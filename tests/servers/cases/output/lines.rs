//! A14: a line for each migration when it commits, where standard error is no terminal.

use crate::support::{Project, Running, Scene};

use super::run;

/// The second migration waits for a lock of the test, or does not end.
#[test]
fn a14_a_line_is_printed_before_the_next_migration_ends() {
    for more in [&[][..], &["--json"]] {
        let scene = Scene::postgres();
        scene.file("V1__fast.sql", "CREATE TABLE fast (id int);\n");
        scene.file("V2__slow.sql", "CREATE TABLE slow (id int);\nSELECT pg_advisory_xact_lock(1414);\n");
        let mut gate = scene.database().client();
        gate.batch_execute("SELECT pg_advisory_lock(1414)").expect("it is free");
        let url = scene.url();
        let mut running = scene.project.spawn(&[&["migrate", "--database-url", &url], more].concat());
        running.wait_for_stderr("main V1__fast applied in ");
        assert!(running.is_running());
        assert_eq!(
            scene.value("SELECT to_regclass('fast') IS NOT NULL AND to_regclass('slow') IS NULL"),
            "t"
        );
        gate.batch_execute("SELECT pg_advisory_unlock(1414)").expect("it is held");
        let outcome = running.wait().success();
        let lines: Vec<&str> =
            outcome.stderr.lines().map(|line| line.split(" in ").next().unwrap_or(line)).collect();
        assert_eq!(lines, ["bustard own tables set up", "main V1__fast applied", "main V2__slow applied"]);
    }
    let project = Project::new();
    project.file("migrations/V1__fast.sql", "CREATE TABLE fast (id int);\n");
    project.file(
        "migrations/V2__endless.sql",
        "CREATE TABLE numbers AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000000)
         SELECT count(*) AS number FROM n;\n",
    );
    let running = project.spawn(&["migrate", "--database-url", "sqlite:app.db"]);
    running.wait_for_stderr("main V1__fast applied in ");
    running.signal("TERM");
    running.wait().exits(143);
}

#[test]
fn a14_every_command_that_changes_migrations_prints_them() {
    for scene in Scene::both() {
        scene.file("V1__a.sql", "CREATE TABLE a (id int);\n-- bustard: down\nDROP TABLE a;\n");
        for (arguments, line) in [
            (&["migrate"][..], "main V1__a applied in "),
            (&["revert", "--steps", "1"], "main V1__a reverted in "),
            (&["migrate", "--fake"], "main V1__a faked in "),
            (&["uninstall", "main", "--forget", "--yes"], ""),
            (&["migrate", "--transaction", "all"], "main V1__a applied in "),
            (&["uninstall", "main", "--yes"], "main V1__a reverted in "),
        ] {
            let outcome = run(&scene, arguments).success();
            let printed: Vec<&str> =
                outcome.stderr.lines().filter(|line| line.starts_with("main ")).collect();
            let expected: Vec<&str> = Some(line).filter(|line| !line.is_empty()).into_iter().collect();
            assert_eq!(printed.len(), expected.len(), "{outcome}");
            assert!(printed.iter().zip(&expected).all(|(line, start)| line.starts_with(start)), "{outcome}");
        }
        let outcome = run(&scene, &["migrate", "-q"]).success();
        assert_eq!(outcome.stderr, "");
        assert_eq!(run(&scene, &["migrate"]).success().stderr, "", "nothing was done");
    }
}

/// What has not committed has no line.
#[test]
fn a14_a_rollback_prints_none() {
    for scene in Scene::both() {
        scene.bad_file("SELECT no_such_column;\n");
        let outcome = run(&scene, &["migrate", "--transaction", "all"]).exits(1);
        assert!(outcome.stderr.starts_with("error: "), "{outcome}");
        let outcome = run(&scene, &["migrate"]).exits(1);
        let lines = outcome.stderr.lines().filter(|line| line.contains(" applied in ")).count();
        assert_eq!(lines, 2, "{outcome}");
    }
}

#[test]
fn a14_a_terminal_has_no_lines() {
    let project = Project::new();
    project.file("migrations/V1__a.sql", "CREATE TABLE a (id int);\n");
    let command = project.command(&["migrate", "--database-url", "sqlite:app.db"]);
    let outcome = Running::on_terminal(command).wait().success();
    assert!(!outcome.stdout.contains("V1__a applied in"), "{outcome}");
}
