//! Writes results and messages. Results go to standard output, as text or as one JSON
//! document. Warnings, progress and errors in text go to standard error. A closed pipe
//! (`bustard status | head -1`) is not a failure: the exit code reports what the
//! command did to the database.

use std::io::{self, ErrorKind, Write};

use bustard::{Database, Diagnostic};
use serde::Serialize;

use super::failure::Failure;
use super::{document, program};

/// The format of the output.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
    quiet: bool,
}

impl Output {
    pub fn new(json: bool, quiet: bool) -> Self {
        Output { json, quiet }
    }

    /// Reports whether only errors may be printed to standard error.
    pub fn quiet(&self) -> bool {
        self.quiet
    }

    /// Prints the name of the database before anything is done to it. `prefix` turns
    /// the line into a comment if the output is SQL.
    pub fn database(&self, prefix: &str, database: &Database, origin: &str) -> Result<(), Failure> {
        self.text(|| format!("{prefix}database: {} (from {origin})\n\n", database.display_name()))
    }

    /// Writes text that precedes the result. Writes nothing if the result is JSON.
    pub fn text(&self, human: impl FnOnce() -> String) -> Result<(), Failure> {
        if self.json { Ok(()) } else { write(&human()) }
    }

    /// Writes the result: `document` as JSON, or else the text of `human`.
    pub fn answer(&self, document: &impl Serialize, human: impl FnOnce() -> String) -> Result<(), Failure> {
        if self.json { write_json(document) } else { write(&human()) }
    }

    /// Writes one line of an endless result. In JSON, each line is a document. Returns
    /// `false` if the reader has closed the pipe.
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

    /// Prints warnings. Prints nothing in JSON, where documents have a key for warnings.
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

    /// Prints the failure.
    pub fn failure(&self, failure: &Failure) {
        // If standard output has failed, a document cannot be written to it.
        if self.json && !matches!(failure, Failure::Output(_)) {
            let _ = write_json(&document::Failed::new(failure));
        } else {
            print_error(&format!("{} {}\n", paint(RED, "error:"), failure));
        }
    }
}

pub const RED: &str = "1;31";
pub const YELLOW: &str = "1;33";

/// Colours `text`. The streams strip the colour if they are not terminals or
/// `NO_COLOR` is set.
pub fn paint(colour: &str, text: &str) -> String {
    format!("\x1b[{colour}m{text}\x1b[0m")
}

/// Prints to standard output and ignores errors.
pub fn print(text: &str) {
    let _ = write(text);
}

/// Prints to standard error and ignores errors. `eprintln!` would panic if standard
/// error is closed.
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
