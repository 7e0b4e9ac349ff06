//! A connection to a server that answers in time, or else not at all: every
//! read and write has what is left until one deadline, however slowly bytes drip
//! in, and no answer is longer than an answer can be.

use std::io::{self, Read, Write};
use std::net::TcpStream;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// The longest value that a server is given, or believed to have.
pub(super) const LONGEST: usize = 16 << 20;
/// What an answer may have beside a value.
const ROOM: usize = 4096;

/// A socket of either kind.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// A connection in use.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Stream,
    deadline: Instant,
    /// How many more bytes the server may send.
    left: usize,
}

impl Wire {
    pub(super) fn new(stream: Stream, deadline: Instant) -> Self {
        Wire { stream, deadline, left: LONGEST + ROOM }
    }

    /// Begins another exchange.
    pub(super) fn restart(&mut self, deadline: Instant) {
        self.deadline = deadline;
        self.left = LONGEST + ROOM;
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is too long for one"));
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

impl Write for Wire {
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

/// What is left until the deadline, never zero: sockets take that for "for ever".
pub(super) fn remaining(deadline: Instant) -> io::Result<Duration> {
    match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(late()),
        left => Ok(left.max(Duration::from_millis(1))),
    }
}

/// The failure of a server that says what it should not.
pub(super) fn said(what: &str) -> io::Error {
    // Nothing that a terminal would obey, and no more than tells what it is.
    let shown = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let text: String = what.trim_end().chars().take(80).map(shown).collect();
    io::Error::new(io::ErrorKind::InvalidData, format!("the server said `{text}`"))
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer in time")
}

/// A socket's time-out comes as "resource temporarily unavailable".
fn in_words(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => late(),
        _ => error,
    }
}
