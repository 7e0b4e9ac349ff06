//! `bustard check`: exits with 0 if nothing is pending, for CI and deploy scripts.

use bustard::report::State;
use bustard::{Migrator, Status};

use super::status;
use crate::cli::context::Context;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;

pub fn run(context: &Context<'_>, migrator: &Migrator) -> Result<Exit, Failure> {
    let mut chosen = context.database()?;
    let status = migrator.status(&mut chosen.database)?;
    context.output.answer(&status::Document::new(&chosen, &status), || human(&status))?;
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

fn human(status: &Status) -> String {
    if status::is_up_to_date(status) {
        return format!("up to date: {}", status::summary(status));
    }
    let open = status::table(status, status.expected().filter(|one| one.state != State::Applied));
    let (apps, caches) = (status::apps(status), status::caches(status));
    format!("{open}{apps}{caches}not up to date: {}", status::summary(status))
}
