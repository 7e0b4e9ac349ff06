//! A question to the person at the terminal, before what cannot be undone.

use std::io::{self, BufRead, IsTerminal};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use super::output::print_error;
use super::signals;

/// How often to see whether a signal has come.
const GLANCE: Duration = Duration::from_millis(50);

/// What was answered.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// This line, without blanks around it; empty where the input ended.
    Line(String),
    /// A signal came instead.
    Signal(u8),
}

/// Whether somebody is there to answer: what is read and where the question
/// appears are both a terminal.
pub fn is_possible() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks, and waits for a line. Signals must be watched already.
pub fn ask(question: &str) -> Answer {
    print_error(question);
    let (sender, lines) = channel();
    // Nothing interrupts the reading: it is left behind when a signal comes.
    thread::spawn(move || sender.send(line(io::stdin().lock())));
    loop {
        if let Some(signal) = signals::received() {
            print_error("\n");
            return Answer::Signal(signal);
        }
        match lines.recv_timeout(GLANCE) {
            Ok(line) => return Answer::Line(line),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Answer::Line(String::new()),
        }
    }
}

/// A line; what is unreadable is no answer.
fn line(mut input: impl BufRead) -> String {
    let mut line = String::new();
    match input.read_line(&mut line) {
        Ok(_) => line.trim().to_owned(),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_read() {
        for (input, expected) in [
            (&b"bans\n"[..], "bans"),
            (b"  bans \r\nmore\n", "bans"),
            (b"bans", "bans"),
            (b"", ""),
            (b"\nbans\n", ""),
            (b"\xff\n", ""),
        ] {
            assert_eq!(line(input), expected, "{input:?}");
        }
    }
}
