//! What the user sees. Answers go to standard output, as text or as the one
//! JSON document; warnings, progress and human errors go to standard error.
//! A reader that went away (`bustard status | head -1`) is no failure: what was
//! done stays done, and the exit code says so.

use std::io::{self, ErrorKind, Write};

use bustard::{Database, Diagnostic};
use serde::Serialize;

use super::failure::Failure;
use super::{document, program};

/// Where and how the command writes.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
    quiet: bool,
}

impl Output {
    pub fn new(json: bool, quiet: bool) -> Self {
        Output { json, quiet }
    }

    /// Whether nothing but errors may appear on standard error.
    pub fn quiet(&self) -> bool {
        self.quiet
    }

    /// Names the database before anything happens to it. `prefix` makes the
    /// line a comment where the rest is SQL.
    pub fn database(&self, prefix: &str, database: &Database, origin: &str) -> Result<(), Failure> {
        self.text(|| format!("{prefix}database: {} (from {origin})\n\n", database.display_name()))
    }

    /// Writes what comes before the answer, where that is not JSON.
    pub fn text(&self, human: impl FnOnce() -> String) -> Result<(), Failure> {
        if self.json { Ok(()) } else { write(&human()) }
    }

    /// Writes the answer. In JSON, `document` is all there is to be.
    pub fn answer(&self, document: &impl Serialize, human: impl FnOnce() -> String) -> Result<(), Failure> {
        if self.json { write_json(document) } else { write(&human()) }
    }

    /// Writes one line of an answer that has no end, in JSON a document of its own;
    /// whether anybody still reads.
    pub fn line(&self, document: &impl Serialize, human: impl FnOnce() -> String) -> Result<bool, Failure> {
        let mut text = match self.json {
            true => serde_json::to_string(document).map_err(|error| Failure::Output(error.into()))?,
            false => human(),
        };
        text.push('\n');
        let mut stdout = anstream::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(Failure::Output(error)),
        }
    }

    /// Prints findings that did not stop the run; in JSON the documents have a key for it.
    pub fn warnings(&self, warnings: &[Diagnostic]) {
        if self.json || self.quiet {
            return;
        }
        let program = program::name();
        for warning in warnings {
            let text = warning.report().for_command(&program);
            print_error(&format!("{} {text}\n", paint(YELLOW, "warning:")));
        }
    }

    /// Tells what went wrong.
    pub fn failure(&self, failure: &Failure) {
        // Where standard output failed, a document cannot be written to it.
        if self.json && !matches!(failure, Failure::Output(_)) {
            let _ = write_json(&document::Failed::new(failure));
        } else {
            print_error(&format!("{} {}\n", paint(RED, "error:"), failure));
        }
    }
}

pub const RED: &str = "1;31";
pub const YELLOW: &str = "1;33";

/// `text` in a colour, which is taken out again where it does not belong: not
/// on a terminal, `NO_COLOR`.
pub fn paint(colour: &str, text: &str) -> String {
    format!("\x1b[{colour}m{text}\x1b[0m")
}

/// Prints to standard output and cares for nothing.
pub fn print(text: &str) {
    let _ = write(text);
}

/// Prints to standard error. `eprintln!` would panic where that is closed.
pub fn print_error(text: &str) {
    let _ = anstream::stderr().lock().write_all(text.as_bytes());
}

fn write(text: &str) -> Result<(), Failure> {
    let mut stdout = anstream::stdout().lock();
    forgive_closed(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
}

fn write_json(document: &impl Serialize) -> Result<(), Failure> {
    let mut text = serde_json::to_string_pretty(document).map_err(|error| Failure::Output(error.into()))?;
    text.push('\n');
    let mut stdout = io::stdout().lock();
    forgive_closed(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
}

fn forgive_closed(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::Output(error)),
        _ => Ok(()),
    }
}
