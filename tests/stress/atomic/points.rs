//! Tests P1 and P2 for a run that stops between any two of its statements, by an
//! abort or by an error.

use super::ladder::{Counts, Ladder, OWN, Watch, forum};
use crate::support::{Engine, Subject};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Back,
}

/// Returns the distance between two tested points before the first commit of a run on an
/// empty database. There are a few hundred points in the transaction that creates Bustard's
/// own tables and functions. `BUSTARD_POINTS=all` tests each of them.
fn stride() -> usize {
    if std::env::var("BUSTARD_POINTS").as_deref() == Ok("all") { 1 } else { 9 }
}

/// Stops a run at its first point, then a run on another copy of the database at its second
/// point, and so on, until a run completes. Returns the number of points.
fn sweep(
    start: &Subject<'_>,
    ladder: &Ladder,
    direction: Direction,
    mode: &str,
    fails: bool,
) -> Result<usize, String> {
    let everything = ladder.top().to_string();
    let run: &[&str] = match direction {
        Direction::Forward => &["migrate"],
        Direction::Back => &["revert", "--steps", &everything],
    };
    let end = if direction == Direction::Forward { ladder.top() } else { OWN };
    let suffix = if fails { ":error" } else { "" };
    let before = Watch::new(ladder, start)?;
    let mut counts = Counts::default();
    let (mut point, mut tried) = (1, 0);
    loop {
        let subject = start.copy();
        let mut command = subject.command(run);
        command.env("BUSTARD_FAILPOINT", format!("{point}{suffix}"));
        let outcome = crate::support::Outcome::of(command);
        subject.quiet();
        let mut watch = before.clone();
        let told = |problem: String| format!("{problem}\nafter {outcome}");
        let state = watch.look(&subject).map_err(told)?;
        counts.note(watch.rung, &state);
        if outcome.code == Some(0) {
            if watch.rung != end {
                return Err(told(format!("exit code 0 after {} steps of {end}", watch.rung)));
            }
            counts.check(direction == Direction::Forward)?;
            return Ok(tried);
        }
        let stopped = if fails { outcome.code == Some(1) } else { outcome.code.is_none() };
        if !stopped || !outcome.stderr.contains(&format!("failpoint {point}, after ")) {
            return Err(told("the run was not stopped at the chosen point".to_owned()));
        }
        if mode == "all" && ![before.rung, end].contains(&watch.rung) {
            return Err(told(format!(
                "one transaction for all steps, but {} steps are committed",
                watch.rung
            )));
        }
        let stopped_at = watch.rung;
        let completed = subject.bustard(&["migrate"]);
        if completed.code != Some(0) {
            return Err(told(format!("the next run fails: {completed}")));
        }
        subject.quiet();
        watch.look(&subject).map_err(told)?;
        if watch.rung != ladder.top() {
            return Err(told(format!("the next run ends after {} steps", watch.rung)));
        }
        tried += 1;
        point += if stopped_at == 0 { stride() } else { 1 };
    }
}

/// Runs all four kinds of sweep. With a fault, returns the first finding.
fn sweeps(engine: Engine, direction: Direction, fault: Option<&str>) -> Result<(), String> {
    let (project, targets) = forum();
    let ladder = Ladder::climb(&Subject::new(engine, &project), targets);
    let config = project.read("bustard.toml");
    let mut tried = Vec::new();
    for mode in ["each", "all"] {
        project.config(&format!("{config}[migrate]\ntransaction = \"{mode}\"\n"));
        let mut start = Subject::new(engine, &project);
        if direction == Direction::Back {
            start.bustard(&["migrate"]).success();
            start.quiet();
        }
        if let Some(fault) = fault {
            start = start.faulty(fault);
        }
        for fails in [false, true] {
            let points = sweep(&start, &ladder, direction, mode, fails)?;
            tried.push(format!("{points} {}, {mode}", if fails { "errors" } else { "aborts" }));
        }
    }
    let way = if direction == Direction::Forward { "forward" } else { "back" };
    println!("{engine:?}, {way}, points tried: {}", tried.join("; "));
    Ok(())
}

#[track_caller]
fn holds(engine: Engine, direction: Direction) {
    if let Err(problem) = sweeps(engine, direction, None) {
        panic!("{problem}");
    }
}

#[track_caller]
fn is_found(engine: Engine, direction: Direction, fault: &str, symptom: &str) {
    let problem = sweeps(engine, direction, Some(fault)).expect_err("the checker must see the fault");
    assert!(problem.contains(symptom), "the finding is not about the seeded fault: {problem}");
}

#[test]
fn a_run_stopped_anywhere_on_postgresql() {
    holds(Engine::Postgres, Direction::Forward);
}

#[test]
fn a_run_stopped_anywhere_on_sqlite() {
    holds(Engine::Sqlite, Direction::Forward);
}

#[test]
fn a_revert_stopped_anywhere_on_postgresql() {
    holds(Engine::Postgres, Direction::Back);
}

#[test]
fn a_revert_stopped_anywhere_on_sqlite() {
    holds(Engine::Sqlite, Direction::Back);
}

#[test]
fn history_in_a_second_transaction_is_found() {
    for engine in [Engine::Postgres, Engine::Sqlite] {
        is_found(
            engine,
            Direction::Forward,
            "history-second-transaction",
            "the database contains a part of a migration",
        );
    }
}

#[test]
fn a_missing_invalidation_on_revert_is_found() {
    for engine in [Engine::Postgres, Engine::Sqlite] {
        is_found(engine, Direction::Back, "no-invalidation-on-revert", "went from version");
    }
}
