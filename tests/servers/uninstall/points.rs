//! Tests an uninstall that stops between any two of its statements, by an abort or by
//! an error.

use super::victim::{Ends, Left, command, is_victim, migrate};
use crate::support::{Engine, Outcome, Project, Subject};

/// Stops an uninstall at its first point, then an uninstall on another copy of the database
/// at its second point, and so on, until an uninstall completes. Returns the number of
/// points.
fn sweep(test: &str, engine: Engine, fault: Option<&str>, fails: bool) -> Result<usize, String> {
    let project = Project::new();
    let subject = Subject::new(engine, &project);
    migrate(&subject);
    let ends = Ends::of(&subject, test);
    let suffix = if fails { ":error" } else { "" };
    for point in 1.. {
        let copy = subject.copy();
        let stop = format!("{point}{suffix}");
        let mut command = command(&copy, test, fault);
        command.env("BUSTARD_FAILPOINT", stop);
        let outcome = Outcome::of(command);
        let left = ends.check(&copy).map_err(|problem| format!("{problem}\nafter {outcome}"))?;
        if outcome.code == Some(0) {
            return match left {
                Left::Complete => Ok(point - 1),
                Left::Untouched => Err(format!("the uninstall did nothing: {outcome}")),
            };
        }
        if !outcome.stderr.contains(&format!("failpoint {point}, after ")) {
            return Err(format!("the uninstall was not stopped at the chosen point: {outcome}"));
        }
    }
    unreachable!("a range without an end")
}

fn holds(test: &str, engine: Engine) {
    if is_victim() {
        return;
    }
    for fails in [false, true] {
        match sweep(test, engine, None, fails) {
            Ok(points) => println!("{engine:?}, points tried: {points}"),
            Err(problem) => panic!("{problem}"),
        }
    }
}

#[test]
fn stopped_anywhere_on_postgresql() {
    holds("uninstall::points::stopped_anywhere_on_postgresql", Engine::Postgres);
}

#[test]
fn stopped_anywhere_on_sqlite() {
    holds("uninstall::points::stopped_anywhere_on_sqlite", Engine::Sqlite);
}

fn is_found(test: &str, fault: &str, symptom: &str) {
    if is_victim() {
        return;
    }
    for engine in [Engine::Postgres, Engine::Sqlite] {
        let problem = sweep(test, engine, Some(fault), false).expect_err("the fault is found");
        assert!(problem.contains(symptom), "the finding is not about the seeded fault: {problem}");
    }
}

#[test]
fn two_transactions_are_found() {
    let fault = "history-second-transaction";
    is_found("uninstall::points::two_transactions_are_found", fault, "neither complete nor untouched");
}

#[test]
fn a_missing_invalidation_is_found() {
    is_found(
        "uninstall::points::a_missing_invalidation_is_found",
        "no-invalidation-on-revert",
        "was not invalidated",
    );
}
