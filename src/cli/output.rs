//! The one writer. Results go to standard output, as text or as one JSON document.
//! Warnings, progress, logs and errors in text go to standard error. With `-q`, text is
//! written only if the command was run to print it, or failed.
//!
//! All text is cleaned here: what comes from a server, a file or an argument cannot control
//! the terminal. In JSON it is escaped, and unchanged for the reader. A closed pipe
//! (`bustard status | head -1`) is not a failure: the exit code reports what the command
//! did to the database.

use std::fmt::Write as _;
use std::io::{self, ErrorKind, IsTerminal, Write};

use bustard::diagnostic::is_unsafe;
use bustard::{Database, Diagnostic};
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use serde::Serialize;

use super::failure::Failure;
use super::lines::{Lines, Paint, paint, rendered, rendered_line};
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

    /// Prints the name of the database before anything is done to it. `prefix` turns
    /// the line into a comment if the output is SQL.
    pub fn database(&self, prefix: &str, database: &Database, origin: &str) -> Result<(), Failure> {
        self.unless_quiet(|| {
            let mut lines =
                Lines::of(format!("{prefix}database: {} (from {origin})", database.display_name()));
            lines.line("");
            lines
        })
    }

    /// Writes text that precedes the result. Writes nothing if the result is JSON.
    pub fn text(&self, human: impl FnOnce() -> Lines) -> Result<(), Failure> {
        if self.json { Ok(()) } else { write(human().as_str()) }
    }

    /// Does the same as [`text`](Self::text), and writes nothing with `-q`.
    pub fn unless_quiet(&self, human: impl FnOnce() -> Lines) -> Result<(), Failure> {
        if self.quiet { Ok(()) } else { self.text(human) }
    }

    /// Writes what the command was run to print: `document` as JSON, or else the text of
    /// `human`.
    pub fn answer(&self, document: &impl Serialize, human: impl FnOnce() -> Lines) -> Result<(), Failure> {
        if self.json { write_json(document) } else { write(human().as_str()) }
    }

    /// Writes the result of a command whose purpose is a change or an exit code. With `-q`,
    /// there is no text.
    pub fn done(&self, document: &impl Serialize, human: impl FnOnce() -> Lines) -> Result<(), Failure> {
        if self.json { write_json(document) } else { self.unless_quiet(human) }
    }

    /// Writes the line before an endless result. With `-q`, there is no text.
    pub fn head(&self, document: &impl Serialize, human: impl FnOnce() -> Lines) -> Result<bool, Failure> {
        if self.quiet && !self.json { Ok(true) } else { self.line(document, human) }
    }

    /// Writes one line of an endless result. In JSON, each line is a document. Returns
    /// `false` if the reader has closed the pipe.
    pub fn line(&self, document: &impl Serialize, human: impl FnOnce() -> Lines) -> Result<bool, Failure> {
        let text = match self.json {
            true => json(serde_json::to_string(document))?,
            false => rendered(human().as_str()),
        };
        match to_stdout(&text) {
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
            let severity = format!("{}:", warning.severity());
            print_error(&format!("{} {text}\n", paint(Paint::Yellow, &severity)));
        }
    }

    /// Prints the failure.
    pub fn failure(&self, failure: &Failure) {
        // If standard output has failed, a document cannot be written to it.
        if self.json && !matches!(failure, Failure::Output(_)) {
            let _ = write_json(&document::Failed::new(failure));
        } else {
            print_error(&format!("{} {}\n", paint(Paint::Red, "error:"), failure));
        }
    }
}

/// Prints to standard error and ignores errors. `eprintln!` would panic if standard
/// error is closed.
pub fn print_error(text: &str) {
    let _ = anstream::stderr().lock().write_all(rendered(text).as_bytes());
}

/// Reports whether standard error is a terminal.
pub fn errors_are_on_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Prints help to standard output, and ignores errors. It is text of this program with
/// colours of its own.
pub fn print_help(text: &str) {
    let _ = to_stdout(text);
}

/// Prints a message of the command line parser to standard error. It has colours of its own,
/// and quotes arguments. The colours remain only if no argument could have brought them.
pub fn print_usage(coloured: &str, plain: &str, has_unsafe: bool) {
    let text = if has_unsafe { rendered(plain) } else { coloured.to_owned() };
    let _ = anstream::stderr().lock().write_all(text.as_bytes());
}

/// Starts the log, which goes to standard error.
pub fn start_log(filter: &str) {
    let log = env_logger::Env::default().default_filter_or(filter);
    let mut log = env_logger::Builder::from_env(log);
    log.format(|to, record| {
        let level = record.level();
        let style = to.default_level_style(level);
        let (time, target) = (to.timestamp(), record.target());
        let message = rendered_line(&record.args().to_string());
        writeln!(to, "[{time} {style}{level:<5}{style:#} {target}] {message}")
    });
    // Fails if the host has already set a logger, which then stays.
    let _ = log.try_init();
}

/// A progress bar on standard error, which draws nothing if that is no terminal.
pub struct Bar(ProgressBar);

impl Bar {
    pub fn start(steps: usize) -> Self {
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        Bar(ProgressBar::new(steps as u64).with_style(style).with_finish(ProgressFinish::AndClear))
    }

    /// Names the current step.
    pub fn name(&self, text: &str) {
        self.0.set_message(rendered_line(text));
    }

    pub fn advance(&self) {
        self.0.inc(1);
    }

    /// Prints to standard error, above the bar.
    pub fn print(&self, text: &str) {
        self.0.suspend(|| print_error(text));
    }
}

fn write(text: &str) -> Result<(), Failure> {
    forgive_closed(to_stdout(&rendered(text)))
}

fn write_json(document: &impl Serialize) -> Result<(), Failure> {
    let text = json(serde_json::to_string_pretty(document))?;
    let mut stdout = io::stdout().lock();
    forgive_closed(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
}

fn to_stdout(text: &str) -> io::Result<()> {
    let mut stdout = anstream::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
}

/// Escapes what a terminal would obey. The value of the document is the same, because such
/// characters occur only in its strings.
fn json(document: serde_json::Result<String>) -> Result<String, Failure> {
    let document = document.map_err(|error| Failure::Output(error.into()))?;
    let mut text = String::with_capacity(document.len() + 1);
    for c in document.chars() {
        if is_unsafe(c) && c != '\n' {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string does not fail.
                let _ = write!(text, "\\u{unit:04x}");
            }
        } else {
            text.push(c);
        }
    }
    text.push('\n');
    Ok(text)
}

fn forgive_closed(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::Output(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_escaped_and_means_the_same() {
        let value = "a\x1b[31m\u{9b}\u{202e}\u{2028}\u{e0041}\u{7f}\n\"é名\\";
        let text = json(serde_json::to_string_pretty(&[value])).unwrap_or_default();
        assert!(!text.chars().any(|c| is_unsafe(c) && c != '\n'), "{text}");
        let read: Vec<String> = serde_json::from_str(&text).unwrap_or_default();
        assert_eq!(read, [value]);
    }
}
