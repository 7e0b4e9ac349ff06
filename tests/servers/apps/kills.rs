//! Tests a run that adopts a database without records and is stopped between any two of its
//! statements. The database must be in the state from before the run or in the state after
//! it.

use super::without_own;
use crate::support::{Engine, Outcome, Project, Subject};

/// Stops the run at each point in turn. Returns the number of points, or describes the
/// first state that is neither the state from before the run nor the state after it.
fn sweep(engine: Engine, fault: Option<&str>) -> Result<usize, String> {
    let project = Project::new();
    for name in ["V1__a", "V2__b"] {
        let sql = format!(
            "CREATE TABLE {name} (id integer);\n-- bustard: register cache {name}\n-- bustard: down\nDROP TABLE {name};\n"
        );
        project.file(format!("migrations/{name}.sql"), sql);
    }
    let start = Subject::new(engine, &project);
    start.bustard(&["migrate"]).success();
    start.quiet();
    start.execute(&without_own(engine));
    let before = start.state().content;
    let whole = start.copy();
    whole.bustard(&["migrate"]).success();
    whole.quiet();
    let end = whole.state().content;
    assert!(end.contains("record main 2") && !before.contains("record"), "{before}\n{end}");
    for point in 1.. {
        let subject = match fault {
            Some(fault) => start.copy().faulty(fault),
            None => start.copy(),
        };
        let mut command = subject.command(&["migrate"]);
        command.env("BUSTARD_FAILPOINT", point.to_string());
        let outcome = Outcome::of(command);
        subject.quiet();
        let content = subject.state().content;
        if content != before && content != end {
            return Err(format!("neither as before nor as after:\n{content}\n{outcome}"));
        }
        if outcome.code == Some(0) {
            return if content == end {
                Ok(point - 1)
            } else {
                Err(format!("the run succeeded, but changed nothing: {outcome}"))
            };
        }
        assert!(outcome.stderr.contains(&format!("failpoint {point}, after ")), "{outcome}");
        subject.bustard(&["migrate"]).success();
        subject.quiet();
        assert_eq!(subject.state().content, end);
    }
    unreachable!("a range without an end")
}

#[test]
fn an_adoption_that_is_stopped_at_any_point() {
    for engine in [Engine::Postgres, Engine::Sqlite] {
        let points = sweep(engine, None).unwrap_or_else(|problem| panic!("{problem}"));
        println!("{engine:?}: {points} points");
        assert!(points > 5, "{points}");
    }
}

#[test]
fn the_sweep_finds_an_adoption_in_two_transactions() {
    for engine in [Engine::Postgres, Engine::Sqlite] {
        let problem = sweep(engine, Some("history-second-transaction")).expect_err("the fault must be seen");
        assert!(problem.contains("neither as before nor as after"), "{problem}");
    }
}
