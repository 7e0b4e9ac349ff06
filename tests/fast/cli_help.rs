//! Tests the command's help, and its errors on a wrong command line.

use crate::commands::commands;
use crate::support::{Project, snapshot_settings};

#[test]
fn every_help_text() {
    let project = Project::new();
    for command in std::iter::once(String::new()).chain(commands()) {
        let words: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let help = project.bustard(&words).success();
        assert_eq!(help.stderr, "");
        let name = if command.is_empty() { "bustard" } else { &*command.replace(' ', "_") };
        insta::assert_snapshot!(format!("help_{name}"), help.stdout);
    }
}

#[test]
fn version() {
    let expected = format!("bustard {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(Project::new().bustard(&["--version"]).success().stdout, expected);
}

#[test]
fn without_a_command_the_help_is_printed() {
    let outcome = Project::new().bustard::<&str>(&[]).exits(2).complains("Usage: bustard");
    assert_eq!(outcome.stdout, "");
}

#[test]
fn wrong_command_lines() {
    let project = Project::new();
    let mut shown = String::new();
    for line in [
        "migrat",
        "migrate --to V3",
        "migrate --to main:three",
        "migrate --lock-wait soon",
        "migrate --transaction some",
        "migrate -v -q",
        "revert",
        "revert --to main:1 --steps 1",
        "revert --steps 0",
        "repair",
        "caches look",
        "caches get",
        "caches valid settings 0",
        "caches invalidate",
    ] {
        let outcome = project.bustard(&line.split(' ').collect::<Vec<_>>()).exits(2);
        assert_eq!(outcome.stdout, "", "{line}");
        shown += &format!("$ bustard {line}\n{}\n", outcome.stderr);
    }
    insta::assert_snapshot!("wrong_command_lines", shown);
}

#[test]
fn wrong_command_lines_as_json() {
    let outcome = Project::new().bustard(&["migrate", "--too", "main:1", "--json"]).exits(2);
    assert_eq!(outcome.stderr, "");
    outcome.json();
    snapshot_settings(&Project::new()).bind(|| {
        insta::assert_snapshot!("wrong_command_line_json", outcome.stdout);
    });
}

#[test]
fn a_url_in_a_wrong_place_is_printed_without_its_password() {
    let project = Project::new();
    let url = "postgres://me:hunter2@localhost/forum";
    for line in [
        vec![url],
        vec![url, "--json"],
        vec!["migrate", url],
        vec!["migrate", "--lock-wait", url],
        vec!["migrate", "--lock-wait=postgres://me:hunter2@localhost/forum"],
        vec!["migrate", "--database-ulr", url],
        vec!["migrate", "--database-ulr=postgres://me:hunter2@localhost/forum"],
        vec!["repair", url],
        vec!["new", "x", "--app", url, "--app", url],
    ] {
        let outcome = project.bustard(&line).exits(2);
        let said = outcome.stdout + &outcome.stderr;
        assert!(!said.contains("hunter2"), "{line:?}: {said}");
    }
}
