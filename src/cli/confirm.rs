//! Asks the user at the terminal to confirm a change that cannot be reverted.

use std::io::{self, BufRead, IsTerminal};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use super::output::print_error;
use super::signals;

/// The interval between two checks for a signal.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The answer to a question.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// A line of input, trimmed. Empty at the end of the input.
    Line(String),
    /// A signal arrived before an answer.
    Signal(u8),
}

/// Reports whether a user can answer: standard input and standard error are both
/// terminals.
pub fn is_possible() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Prints the question and waits for a line. The caller must have called
/// `signals::watch` before.
pub fn ask(question: &str) -> Answer {
    print_error(question);
    let (sender, lines) = channel();
    // A blocking read cannot be interrupted. When a signal arrives, the thread is
    // abandoned and ends with the process.
    thread::spawn(move || sender.send(line(io::stdin().lock())));
    loop {
        if let Some(signal) = signals::received() {
            print_error("\n");
            return Answer::Signal(signal);
        }
        match lines.recv_timeout(POLL_INTERVAL) {
            Ok(line) => return Answer::Line(line),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Answer::Line(String::new()),
        }
    }
}

/// Reads one line. An input that cannot be read counts as an empty answer.
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
