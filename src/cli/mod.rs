//! The command line over the library. Arguments and a configuration file come
//! in; text or one JSON document, and an exit code, go out. Everything in
//! between is the crate's public API: what the command can do, an application
//! can do.

mod arguments;
mod commands;
mod context;
mod document;
mod exit;
mod failure;
mod nearest;
mod output;
mod progress;
mod redact;
mod selection;
mod signals;
mod table;
mod target;

pub use arguments::{Arguments, parse};

use exit::Exit;
use output::Output;

/// Runs the command and tells of its failure, if there is one.
pub fn run(arguments: &Arguments) -> Exit {
    let output = Output::new(arguments.options.json, arguments.options.quiet);
    commands::run(arguments, &output).unwrap_or_else(|failure| {
        output.failure(&failure);
        failure.exit()
    })
}
