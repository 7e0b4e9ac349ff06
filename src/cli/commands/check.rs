//! `bustard check`: exits with 0 if nothing is pending, for CI and deploy scripts.

use bustard::report::State;
use bustard::{Migrator, Status};

use super::status;
use crate::cli::context::Context;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::lines::Lines;

pub fn run(context: &Context<'_>, migrator: &Migrator) -> Result<Exit, Failure> {
    let mut chosen = context.database()?;
    let status = migrator.status(&mut chosen.database)?;
    context.output.done(&status::Document::new(&chosen, &status), || human(&status))?;
    context.output.warnings(&status.warnings);
    Ok(exit(&status))
}

fn exit(status: &Status) -> Exit {
    let is_refused =
        |state| matches!(state, State::Divergent | State::Missing | State::OutOfOrder | State::Superseded);
    if status.expected().any(|one| is_refused(one.state)) {
        Exit::Refused
    } else if status::is_up_to_date(status) {
        Exit::Done
    } else {
        Exit::No
    }
}

fn human(status: &Status) -> Lines {
    if status::is_up_to_date(status) {
        return Lines::of(format!("up to date: {}", status::summary(status)));
    }
    let mut lines = status::table(status, status.expected().filter(|one| one.state != State::Applied));
    lines.lines(status::refusals(status));
    lines.lines(status::apps(status));
    lines.lines(status::caches(status));
    lines.line(format!("not up to date: {}", status::summary(status)));
    lines
}
