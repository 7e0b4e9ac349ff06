//! A connection with a deadline for a whole exchange. The time limit of every read and
//! write is the time until the deadline, so a server that sends single bytes cannot
//! extend it. The size of an answer is bounded too.
//!
//! In: a socket and a deadline, and the configuration of TLS if it is used. Out: `Read` and
//! `Write` that fail after the deadline.

use std::io::{self, Read, Write};
use std::net::TcpStream;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
#[cfg(feature = "redis")]
use std::sync::Arc;
use std::time::{Duration, Instant};

#[cfg(feature = "redis")]
use rustls::pki_types::ServerName;
#[cfg(feature = "redis")]
use rustls::{ClientConfig, ClientConnection, StreamOwned};

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
struct Socket {
    stream: Stream,
    deadline: Instant,
}

#[derive(Debug)]
enum Layer {
    Plain(Socket),
    /// Each read and write of the socket below has the time until the deadline, so a server
    /// that sends single bytes of a record cannot extend it.
    #[cfg(feature = "redis")]
    Tls(Box<StreamOwned<ClientConnection, Socket>>),
}

/// A connection with the deadline of its current exchange.
#[derive(Debug)]
pub(super) struct DeadlineStream {
    layer: Layer,
    /// The number of bytes that the server may still send.
    left: usize,
}

impl DeadlineStream {
    pub(super) fn new(stream: Stream, deadline: Instant) -> Self {
        DeadlineStream { layer: Layer::Plain(Socket { stream, deadline }), left: LONGEST + ROOM }
    }

    /// Begins TLS with the server of this name.
    #[cfg(feature = "redis")]
    pub(super) fn secured(self, config: Arc<ClientConfig>, name: ServerName<'static>) -> io::Result<Self> {
        let Layer::Plain(mut socket) = self.layer else { return Ok(self) };
        let mut session = ClientConnection::new(config, name).map_err(io::Error::other)?;
        while session.is_handshaking() {
            session.complete_io(&mut socket).map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => {
                    io::Error::new(error.kind(), "the server closed the connection instead of speaking TLS")
                }
                io::ErrorKind::TimedOut => io::Error::new(
                    error.kind(),
                    "no answer in time to the beginning of TLS (does the server speak TLS at this port?)",
                ),
                _ => in_words_of_tls(error),
            })?;
        }
        Ok(DeadlineStream { layer: Layer::Tls(Box::new(StreamOwned::new(session, socket))), left: self.left })
    }

    /// Begins another exchange.
    pub(super) fn restart(&mut self, deadline: Instant) {
        self.socket().deadline = deadline;
        self.left = LONGEST + ROOM;
    }

    fn socket(&mut self) -> &mut Socket {
        match &mut self.layer {
            Layer::Plain(socket) => socket,
            #[cfg(feature = "redis")]
            Layer::Tls(stream) => &mut stream.sock,
        }
    }
}

impl Read for DeadlineStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is too long"));
        }
        let end = buffer.len().min(self.left);
        let count = match &mut self.layer {
            Layer::Plain(socket) => socket.read(&mut buffer[..end]),
            #[cfg(feature = "redis")]
            Layer::Tls(stream) => stream.read(&mut buffer[..end]).map_err(in_words_of_tls),
        }?;
        self.left -= count;
        Ok(count)
    }
}

impl Write for DeadlineStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.layer {
            Layer::Plain(socket) => socket.write(bytes),
            #[cfg(feature = "redis")]
            Layer::Tls(stream) => stream.write(bytes).map_err(in_words_of_tls),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.layer {
            Layer::Plain(socket) => socket.flush(),
            #[cfg(feature = "redis")]
            Layer::Tls(stream) => stream.flush().map_err(in_words_of_tls),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let timeout = Some(remaining(self.deadline)?);
        match &mut self.stream {
            Stream::Tcp(stream) => {
                stream.set_read_timeout(timeout)?;
                stream.read(buffer)
            }
            #[cfg(unix)]
            Stream::Unix(stream) => {
                stream.set_read_timeout(timeout)?;
                stream.read(buffer)
            }
        }
        .map_err(in_words)
    }
}

impl Write for Socket {
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

/// Explains a failure of TLS. The server may refuse a client only after the handshake.
#[cfg(feature = "redis")]
fn in_words_of_tls(error: io::Error) -> io::Error {
    use rustls::{AlertDescription, CertificateError, Error};

    let Some(tls) = error.get_ref().and_then(|error| error.downcast_ref()) else { return error };
    let advice = match tls {
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            " (name the present certificate of its CA with tls_ca, if you trust it)"
        }
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            " (the server asks for a client certificate: tls_certificate and tls_key)"
        }
        Error::InvalidMessage(_) => " (does the server speak TLS at this port?)",
        _ => "",
    };
    io::Error::new(error.kind(), format!("TLS failed: {tls}{advice}"))
}
