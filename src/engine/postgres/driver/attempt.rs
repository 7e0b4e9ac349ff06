//! One attempt to connect: what it yields, and why it fails.

use std::io;
use std::time::Duration;

use tokio_postgres::Socket;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::failure::io_error;

/// The other half of a [`Client`](tokio_postgres::Client). The caller must poll it.
pub(crate) type Connection =
    tokio_postgres::Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// Why one attempt failed.
pub(super) enum AttemptFailure {
    Lookup(io::Error),
    Io(io::Error),
    TimedOut(Option<Duration>),
    Driver(tokio_postgres::Error),
    /// It is not a server that `target_session_attrs` asks for.
    Mismatch(&'static str),
}

impl AttemptFailure {
    /// Returns whether to try the next server. As in libpq, a server that answers
    /// decides, unless it says that it cannot serve now: the other servers would reject
    /// a wrong password too.
    pub(super) fn try_next(&self) -> bool {
        match self {
            AttemptFailure::Driver(error) => match error.as_db_error() {
                Some(db) => *db.code() == SqlState::CANNOT_CONNECT_NOW,
                None => tls_error(error).is_none() && (error.is_closed() || io_error(error).is_some()),
            },
            _ => true,
        }
    }
}

/// Returns rustls' error, if the handshake failed.
pub(super) fn tls_error(error: &tokio_postgres::Error) -> Option<&rustls::Error> {
    io_error(error)?.get_ref()?.downcast_ref()
}
