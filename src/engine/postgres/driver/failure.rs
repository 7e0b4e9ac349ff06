//! Translates the driver's errors.

use std::error::Error as _;
use std::io;

use tokio_postgres::error::{DbError, ErrorPosition, Severity, SqlState};

use crate::diagnostic::{Advice, secrets};
use crate::engine::postgres::{Origin, advice_of};
use crate::engine::{About, Failure};
use crate::error::{ErrorKind, ServerMessage};

/// Translates the failure of a statement, or of the connection under it.
///
/// A cancelled statement (57014) counts as [`ErrorKind::Database`]. The server uses the
/// same code for `statement_timeout` and distinguishes the two only in its message,
/// which is in the server's language. Only the caller knows whether it requested a
/// cancellation.
pub(crate) fn failure(error: &tokio_postgres::Error) -> Failure {
    match error.as_db_error() {
        Some(db) => Failure {
            kind: kind(db),
            server_message: Box::new(server_message(db)),
            offset: offset(db),
            advice: advice(db),
        },
        None => Failure {
            kind: if is_encoding(error) { ErrorKind::Database } else { ErrorKind::Connection },
            server_message: Box::new(ServerMessage { message: chain(error), ..ServerMessage::default() }),
            offset: None,
            advice: None,
        },
    }
}

fn advice(error: &DbError) -> Option<(About, Advice)> {
    advice_of(&Origin {
        code: error.code().code(),
        routine: error.routine().unwrap_or_default(),
        schema: error.schema().unwrap_or_default(),
        table: error.table().unwrap_or_default(),
        column: error.column().unwrap_or_default(),
        constraint: error.constraint().unwrap_or_default(),
    })
}

fn kind(error: &DbError) -> ErrorKind {
    let code = error.code();
    // The server closes the connection after every error of these severities. The code does
    // not matter. Examples are a shutdown, pg_terminate_backend() and an idle time-out.
    let fatal = matches!(error.parsed_severity(), Some(Severity::Fatal | Severity::Panic));
    let gone = [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN, SqlState::CANNOT_CONNECT_NOW];
    if fatal || gone.contains(code) || code.code().starts_with("08") {
        return ErrorKind::Connection;
    }
    ErrorKind::Database
}

/// Logs a message that belongs to no migration.
pub(super) fn log(message: &DbError) {
    log::debug!("the server: {}: {}", message.severity(), secrets::hide_looks(message.message()));
}

pub(super) fn server_message(error: &DbError) -> ServerMessage {
    ServerMessage {
        message: error.message().to_owned(),
        code: Some(error.code().code().to_owned()),
        detail: error.detail().map(Into::into),
        hint: error.hint().map(Into::into),
        context: error.where_().map(Into::into),
        raised_at: raised_at(error),
    }
}

/// Returns the function, file and line in the server's source.
fn raised_at(error: &DbError) -> Option<Box<str>> {
    let (routine, file, line) = (error.routine()?, error.file()?, error.line()?);
    Some(format!("{routine} {file}:{line}").into_boxed_str())
}

/// Returns the offset of the error in the statement, in characters. Positions count
/// characters from 1. A position in the body of a function is not a position in the
/// statement that called the function.
fn offset(error: &DbError) -> Option<usize> {
    match error.position()? {
        ErrorPosition::Original(position) => (*position as usize).checked_sub(1),
        ErrorPosition::Internal { .. } => None,
    }
}

/// Returns whether the driver could not encode the statement, because it contains a NUL.
fn is_encoding(error: &tokio_postgres::Error) -> bool {
    io_error(error).is_some_and(|error| error.kind() == io::ErrorKind::InvalidInput)
}

/// Returns the error of the underlying socket, if that is what failed.
pub(super) fn io_error(error: &tokio_postgres::Error) -> Option<&io::Error> {
    error.source()?.downcast_ref()
}

/// Returns the driver's message and its source, because the message alone says only which
/// part failed.
pub(super) fn chain(error: &tokio_postgres::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
