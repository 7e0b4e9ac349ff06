//! Tests colours, pipes, full disks, and which output gets which text.

use std::fs::OpenOptions;
use std::process::{Child, Command, Stdio};

use crate::support::{Outcome, Project};

fn project() -> Project {
    let project = Project::new();
    project
        .file("migrations/V1__a.sql", "CREATE TABLE a (id INTEGER);\n")
        .file(".env", "DATABASE_URL=sqlite:app.db\n");
    project
}

fn run(project: &Project, arguments: &[&str], variables: &[(&str, &str)]) -> Outcome {
    let mut command = project.command(arguments);
    command.env_remove("NO_COLOR").envs(variables.iter().copied());
    Outcome::of(command)
}

#[test]
fn colours() {
    let project = project();
    project.bustard(&["migrate"]).success();
    let is_coloured = |outcome: Outcome| (outcome.stdout + &outcome.stderr).contains('\x1b');
    let forced = ("CLICOLOR_FORCE", "1");
    for arguments in [&["status"][..], &["status", "--config", "none.toml"], &["--help"], &["frobnicate"]] {
        assert!(!is_coloured(run(&project, arguments, &[])), "{arguments:?}: no terminal");
        assert!(!is_coloured(run(&project, arguments, &[("NO_COLOR", "1")])), "{arguments:?}");
        assert!(is_coloured(run(&project, arguments, &[forced])), "{arguments:?}");
    }
    let document = run(&project, &["status", "--json"], &[forced]).success();
    assert!(!is_coloured(document.clone()));
    document.json();
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let project = project();
    for arguments in ["migrate", "status", "plan", "check", "caches", "--help", "status --json"] {
        let (reader, writer) = std::io::pipe().expect("a pipe can be made");
        drop(reader);
        let outcome = ending(project.command(&arguments.split(' ').collect::<Vec<_>>()).stdout(writer));
        let (code, stderr) = outcome;
        // Only a run tells what it has done.
        let failed =
            stderr.lines().find(|line| !line.contains(" applied in ") && !line.contains("own tables"));
        assert_eq!((code, failed), (Some(0), None), "{arguments}");
    }
}

/// Returns the exit code and standard error.
fn ending(command: &mut Command) -> (Option<i32>, String) {
    let child = command.stderr(Stdio::piped()).spawn();
    let output = child.and_then(Child::wait_with_output).expect("it starts");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn an_answer_that_cannot_be_written_is_a_failure() {
    let project = project();
    project.bustard(&["migrate"]).success();
    for arguments in [&["status"][..], &["status", "--json"]] {
        let full = OpenOptions::new().write(true).open("/dev/full").expect("Linux has /dev/full");
        let (code, stderr) = ending(project.command(arguments).stdout(full));
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains("cannot write to standard output"), "{stderr}");
    }
}

#[test]
fn closed_outputs_do_not_panic() {
    let project = project();
    let mut command = Command::new("sh");
    command.current_dir(project.path()).args([
        "-c",
        "\"$@\" 2>&-; \"$@\" >&- 2>&-; :",
        "sh",
        env!("CARGO_BIN_EXE_bustard"),
        "migrate",
        "--nonsense",
    ]);
    let outcome = Outcome::of(command).success();
    assert!(!outcome.stderr.contains("panicked"), "{outcome}");
}

#[test]
fn json_is_alone_on_standard_output() {
    let project = project();
    let outcome = project.bustard(&["migrate", "--json", "-vvv"]).success();
    outcome.json();
    // The log goes to standard error.
    assert!(outcome.stderr.contains("bustard"), "{outcome}");
}

#[test]
fn the_log_can_be_turned_up_and_off() {
    let project = project();
    let outcome = project.bustard(&["migrate"]).success().complains("main V1__a applied in ");
    assert!(!outcome.stderr.contains("INFO"), "{outcome}");
    project.file("migrations/V2__b.sql", "CREATE TABLE b (id INTEGER);\n");
    project.bustard(&["migrate", "-v"]).success().complains("INFO");
    let mut command = project.command(&["status", "-vv"]);
    command.env("RUST_LOG", "off");
    assert_eq!(Outcome::of(command).success().stderr, "");
}
