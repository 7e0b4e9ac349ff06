//! Runs refinery's own `Runner`:
//!
//! - `apply DIR URL`: applies the `.sql` files of a directory;
//! - `apply-embedded URL`: applies the files that `embed_migrations!` found when this
//!   program was built;
//! - `check DIR URL`: checks that no migration is pending and that refinery finds no error.
//!
//! URLs are `postgres://…` and `sqlite:FILE`. Exit code 0 is success (`check`:
//! prints `pending=0`); 1 is anything else, with the reason on stderr.

use std::error::Error;
use std::process::ExitCode;

use refinery::{Migrate, Runner, load_sql_migrations};

mod embedded {
    refinery::embed_migrations!("../migrations");
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<String, Box<dyn Error>> {
    match arguments {
        ["apply", directory, url] => on(url, &from(directory)?, Verb::Apply),
        ["apply-embedded", url] => on(url, &embedded::migrations::runner(), Verb::Apply),
        ["check", directory, url] => on(url, &from(directory)?, Verb::Check),
        _ => Err("usage: apply DIR URL | apply-embedded URL | check DIR URL".into()),
    }
}

fn from(directory: &str) -> Result<Runner, Box<dyn Error>> {
    // Divergent and missing migrations are errors. This is refinery's default, written out.
    let runner = Runner::new(&load_sql_migrations(directory)?);
    Ok(runner.set_abort_divergent(true).set_abort_missing(true))
}

#[derive(Clone, Copy)]
enum Verb {
    Apply,
    Check,
}

fn on(url: &str, runner: &Runner, verb: Verb) -> Result<String, Box<dyn Error>> {
    if let Some(file) = url.strip_prefix("sqlite:") {
        perform(&mut rusqlite::Connection::open(file)?, runner, verb)
    } else {
        let mut client = postgres::Client::connect(url, postgres::NoTls)?;
        perform(&mut client, runner, verb)
    }
}

fn perform<C: Migrate>(connection: &mut C, runner: &Runner, verb: Verb) -> Result<String, Box<dyn Error>> {
    if let Verb::Check = verb {
        let applied = runner.get_applied_migrations(connection)?;
        let pending: Vec<String> = runner
            .get_migrations()
            .iter()
            .filter(|migration| applied.iter().all(|one| one.version() != migration.version()))
            .map(ToString::to_string)
            .collect();
        if !pending.is_empty() {
            return Err(format!("pending={}: {}", pending.len(), pending.join(", ")).into());
        }
    }
    // Refinery only verifies during a run. With nothing pending, a run applies
    // nothing.
    let report = runner.run(connection)?;
    let count = report.applied_migrations().len();
    Ok(match verb {
        Verb::Apply => format!("applied={count}"),
        Verb::Check => format!("pending={count}"),
    })
}
