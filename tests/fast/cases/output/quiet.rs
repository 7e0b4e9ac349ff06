//! A25: with `-q`, a command prints what it was asked for, or that it failed, and nothing else.

use std::collections::BTreeSet;

use Speech::{Answers, Silent};

use crate::commands::commands;
use crate::support::{Outcome, Project, Running};

/// What a command prints with `-q`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Speech {
    /// It was asked for, such as a list.
    Answers,
    /// The exit code says it.
    Silent,
}

/// A command, its arguments, its exit code, what it prints, and what was done before.
type Row = (&'static str, &'static str, i32, Speech, &'static [&'static str]);

const MIGRATED: &[&str] = &["migrate"];
const DISABLED: &[&str] = &["migrate", "disable shop"];
const REGISTERED: &[&str] = &["migrate", "caches register loose"];

/// Each command has a row: `every_command_has_a_row` compares them.
const ROWS: &[Row] = &[
    ("migrate", "", 0, Silent, &[]),
    ("migrate", "", 0, Silent, MIGRATED),
    ("migrate", "--fake", 0, Silent, &[]),
    ("migrate", "--transaction all", 0, Silent, &[]),
    ("plan", "", 0, Answers, &[]),
    ("plan", "", 0, Answers, MIGRATED),
    ("plan", "--sql", 0, Answers, &[]),
    ("status", "", 0, Answers, &[]),
    ("status", "", 0, Answers, MIGRATED),
    ("check", "", 3, Silent, &[]),
    ("check", "", 0, Silent, MIGRATED),
    ("graph", "", 0, Answers, &[]),
    ("revert", "--steps 1", 0, Silent, MIGRATED),
    ("revert", "--to main:1", 0, Silent, MIGRATED),
    ("repair", "main:V1", 0, Silent, MIGRATED),
    ("repair", "--new-identity", 0, Silent, MIGRATED),
    ("new", "more --app main", 0, Silent, &[]),
    ("apps", "", 0, Answers, MIGRATED),
    ("disable", "shop", 0, Silent, MIGRATED),
    ("disable", "shop", 0, Silent, DISABLED),
    ("enable", "shop", 0, Silent, DISABLED),
    ("uninstall", "shop --yes", 0, Silent, MIGRATED),
    ("uninstall", "shop --keep-data --yes", 0, Silent, MIGRATED),
    ("uninstall", "shop --forget --yes", 0, Silent, MIGRATED),
    ("caches", "", 0, Answers, MIGRATED),
    ("caches list", "", 0, Answers, MIGRATED),
    ("caches get", "things", 0, Answers, MIGRATED),
    ("caches valid", "things 1", 3, Silent, MIGRATED),
    ("caches invalidate", "things", 0, Silent, MIGRATED),
    ("caches invalidate-all", "", 0, Silent, MIGRATED),
    ("caches register", "loose", 0, Silent, MIGRATED),
    ("caches unregister", "loose", 0, Silent, REGISTERED),
];

/// A command that does not end by itself has a test of its own.
const ENDLESS: [&str; 1] = ["caches watch"];

const CONFIG: &str = r#"
[database]
url = "sqlite:app.db"

[[apps]]
label = "main"
migrations = "main"

[[apps]]
label = "shop"
migrations = "shop"
"#;

fn project(before: &[&str]) -> Project {
    let project = Project::new();
    project.config(CONFIG);
    for (app, table) in [("main", "thing"), ("shop", "price")] {
        project.file(
            format!("{app}/V1__create.sql"),
            format!("-- bustard: register cache {table}s\nCREATE TABLE {table} (id int);\n-- bustard: down\nDROP TABLE {table};\n"),
        );
        project.file(
            format!("{app}/V2__more.sql"),
            format!("CREATE TABLE more_{table} (id int);\n-- bustard: down\nDROP TABLE more_{table};\n"),
        );
    }
    for line in before {
        run(&project, line).success();
    }
    project
}

fn run(project: &Project, line: &str) -> Outcome {
    project.bustard(&line.split_whitespace().collect::<Vec<_>>())
}

#[test]
fn a25_every_command_has_a_row() {
    let rows: BTreeSet<&str> = ROWS.iter().map(|row| row.0).chain(ENDLESS).collect();
    let found = commands();
    assert_eq!(rows, found.iter().map(String::as_str).collect());
}

#[test]
fn a25_only_what_was_asked_for_is_printed() {
    for &(command, arguments, code, speech, before) in ROWS {
        let loud = run(&project(before), &format!("{command} {arguments}")).exits(code);
        assert_ne!(loud.stdout, "", "the row shows nothing: {loud}");
        for line in [format!("-q {command} {arguments}"), format!("{command} {arguments} --quiet")] {
            let quiet = run(&project(before), &line).exits(code);
            assert_eq!(quiet.stderr, "", "{quiet}");
            assert_eq!(quiet.stdout.is_empty(), speech == Silent, "{quiet}");
            // Nothing else of it is missing. The SQL has its name as a comment.
            let (_, answer) = loud.stdout.split_once("\n\n").unwrap_or(("", &loud.stdout));
            let answer = if loud.stdout.contains("database: ") { answer } else { &loud.stdout };
            let same = without_times(&quiet.stdout) == without_times(answer);
            assert!(speech == Silent || same, "{quiet}\n{loud}");
        }
    }
}

/// Versions and times differ from one database to another.
fn without_times(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>().split_whitespace().collect()
}

#[test]
fn a25_a_document_is_printed_all_the_same() {
    for &(command, arguments, code, _, before) in ROWS {
        let keys = |more: &str| {
            let outcome = run(&project(before), &format!("{more} {command} {arguments}")).exits(code);
            outcome.json().as_object().expect("it is an object").keys().cloned().collect::<BTreeSet<_>>()
        };
        let quiet = run(&project(before), &format!("-q --json {command} {arguments}"));
        assert_eq!(quiet.stderr, "", "{quiet}");
        assert_eq!(keys("--json -q"), keys("--json"), "{command}");
    }
}

#[test]
fn a25_a_failure_is_printed() {
    for &(command, arguments, ..) in ROWS {
        let line = format!("{command} {arguments} -q --config nowhere.toml");
        let outcome = run(&project(&[]), &line).exits(2).complains("error: ").complains("nowhere.toml");
        assert_eq!(outcome.stdout, "");
        let quiet = run(&project(&[]), &format!("{line} --json")).exits(2);
        assert!(quiet.json()["error"].is_object(), "{quiet}");
    }
}

#[test]
fn a25_quiet_contradicts_verbose_everywhere() {
    let project = project(MIGRATED);
    let contents = project.sqlite_schema("app.db");
    for &(command, arguments, ..) in ROWS {
        for [one, other] in [["-q", "-v"], ["--verbose", "--quiet"], ["-vvv", "-q"]] {
            let (first, rest) = command.split_once(' ').unwrap_or((command, ""));
            for line in [
                format!("{one} {other} {command} {arguments}"),
                format!("{one} {command} {arguments} {other}"),
                format!("{command} {arguments} {one} {other}"),
                format!("{command} {one} {arguments} {other}"),
                format!("{first} {one} {rest} {arguments} {other}"),
                format!("{one} {first} {other} {rest} {arguments}"),
            ] {
                let outcome = run(&project, &line).exits(2);
                assert_eq!(outcome.stdout, "", "{outcome}");
                outcome.complains("error: the argument '--verbose...' cannot be used with '--quiet'");
            }
        }
        let outcome = run(&project, &format!("-q {command} {arguments} -v --json")).exits(2);
        assert_eq!(outcome.json()["error"]["kind"], "usage", "{outcome}");
    }
    assert_eq!(project.sqlite_schema("app.db"), contents);
    // Help and version are no command.
    run(&project, "-q -v --help").success().says("Usage: ");
}

#[test]
fn a25_watching_prints_only_changes() {
    for (more, start) in [("-q", ""), ("-q --json", "watching")] {
        let project = project(MIGRATED);
        let line = format!("caches watch {more}");
        let watching = project.spawn(&line.split_whitespace().collect::<Vec<_>>());
        // Nothing tells when it has begun, so the cache changes until it is seen.
        crate::support::wait_until("a change is printed", || {
            run(&project, "caches invalidate things -q").success();
            watching.stdout_so_far().contains("things")
        });
        watching.signal("INT");
        let outcome = watching.wait().exits(130);
        assert_eq!(outcome.stderr, "", "{outcome}");
        let first = outcome.stdout.lines().next().unwrap_or_default();
        assert!(first.contains(if start.is_empty() { "things" } else { start }), "{outcome}");
    }
}

/// A person who is asked must see what would be done.
#[test]
fn a25_an_uninstall_shows_its_plan_only_to_ask() {
    let project = project(MIGRATED);
    let outcome = run(&project, "uninstall shop -q").exits(2);
    assert_eq!(outcome.stdout, "");
    outcome.complains("help: run without --quiet to review the plan, then run again with --yes");

    let arguments = ["uninstall", "shop", "-q"];
    let mut running = Running::on_terminal(project.command(&arguments));
    running.wait_for_stdout("to uninstall it: ");
    running.types("shop\n");
    let outcome = running.wait().success().says("uninstall shop, dropping its data").says("DROP TABLE price");
    assert!(!outcome.stdout.contains("database: "), "{outcome}");
    assert!(outcome.stdout.trim_end().ends_with("to uninstall it: shop"), "{outcome}");

    // Another app depends on it, so there is nothing to ask.
    let project = self::project(&[]);
    project.file("main/V3__needs.sql", "-- bustard: depends on shop V1\nCREATE TABLE needs (id int);\n");
    run(&project, "migrate").success();
    let outcome = Running::on_terminal(project.command(&arguments)).wait();
    assert!(outcome.stdout.starts_with("error: "), "{outcome}");
}
