//! A connection with a deadline for a whole exchange. The time limit of every read and
//! write is the time until the deadline, so a server that sends single bytes cannot
//! extend it. The size of an answer is bounded too.
//!
//! In: a socket and a deadline. Out: `Read` and `Write` that fail after the deadline.

use std::io::{self, Read, Write};
use std::net::TcpStream;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// The longest value that is stored, or accepted from a server.
pub(super) const LONGEST: usize = 16 << 20;
/// The bytes that an answer may have in addition to a value.
const ROOM: usize = 4096;

/// A socket of either kind.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// A socket with the deadline of its current exchange.
#[derive(Debug)]
pub(super) struct DeadlineStream {
    stream: Stream,
    deadline: Instant,
    /// The number of bytes that the server may still send.
    left: usize,
}

impl DeadlineStream {
    pub(super) fn new(stream: Stream, deadline: Instant) -> Self {
        DeadlineStream { stream, deadline, left: LONGEST + ROOM }
    }

    /// Begins another exchange.
    pub(super) fn restart(&mut self, deadline: Instant) {
        self.deadline = deadline;
        self.left = LONGEST + ROOM;
    }
}

impl Read for DeadlineStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is too long"));
        }
        let end = buffer.len().min(self.left);
        let timeout = Some(remaining(self.deadline)?);
        let count = match &mut self.stream {
            Stream::Tcp(stream) => {
                stream.set_read_timeout(timeout)?;
                stream.read(&mut buffer[..end])
            }
            #[cfg(unix)]
            Stream::Unix(stream) => {
                stream.set_read_timeout(timeout)?;
                stream.read(&mut buffer[..end])
            }
        }
        .map_err(in_words)?;
        self.left -= count;
        Ok(count)
    }
}

impl Write for DeadlineStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let timeout = Some(remaining(self.deadline)?);
        match &mut self.stream {
            Stream::Tcp(stream) => {
                stream.set_write_timeout(timeout)?;
                stream.write(bytes)
            }
            #[cfg(unix)]
            Stream::Unix(stream) => {
                stream.set_write_timeout(timeout)?;
                stream.write(bytes)
            }
        }
        .map_err(in_words)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the time until the deadline. The time is never zero, because a socket interprets
/// zero as "no limit".
pub(super) fn remaining(deadline: Instant) -> io::Result<Duration> {
    match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(late()),
        left => Ok(left.max(Duration::from_millis(1))),
    }
}

/// Returns the error for an unexpected server message.
pub(super) fn server_message(message: &str) -> io::Error {
    // Control characters are replaced, because a terminal would interpret them, and the
    // length is bounded.
    let shown = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let text: String = message.trim_end().chars().take(80).map(shown).collect();
    io::Error::new(io::ErrorKind::InvalidData, format!("unexpected server message `{text}`"))
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer in time")
}

/// Replaces the message of a socket's time-out, "resource temporarily unavailable".
fn in_words(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => late(),
        _ => error,
    }
}
