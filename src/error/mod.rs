//! Failures.
//!
//! In: a kind, a message and their context. Out: an [`Error`], as text on one line or on
//! several lines.
//!
//! [`Error`] is opaque. Its methods return its [`ErrorKind`], its [`Code`], its [`Place`]
//! and the SQLSTATE. `Display` prints one line. [`Error::report`] prints several lines:
//! what happened, where, the server message, and the next step. An error never contains a
//! secret of a connection URL.

mod notice;
mod report;

use std::fmt;

pub use self::notice::{Notice, NoticeLevel};
pub use self::report::ErrorReport;
use crate::diagnostic::{Advice, Code, Diagnostic, Place, clean_line, one_line, secrets};

/// The result of every operation of this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kind of a failure. The command derives its exit code from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request is not valid: an unknown option or target, a bad connection URL, a bad
    /// configuration.
    Usage,
    /// Migration files or migrations built in code are not valid. No connection was made.
    Source,
    /// An applied migration differs from its file.
    Divergent,
    /// An applied migration has no file.
    Missing,
    /// A pending migration is older than an applied migration.
    OutOfOrder,
    /// The history of an app is not where it was recorded, or it is another one.
    History,
    /// The migration lock, or another lock that a statement needs, was not obtained in time.
    Locked,
    /// There is no connection to the database, or it was lost.
    Connection,
    /// The database refused a statement.
    Database,
    /// A cache is not registered, or is already registered.
    Cache,
    /// The versions of caches are unknown, because the database has not answered for longer
    /// than `max_staleness`. All cached values count as invalid.
    Stale,
    /// A store of cached values did not answer, or its answer was not as expected.
    Store,
    /// The run was cancelled from outside.
    Cancelled,
    /// Any other failure, such as a failed function of a migration, or a history table with
    /// another shape.
    Failed,
}

impl ErrorKind {
    /// Returns the code for errors of this kind that have no code of their own.
    fn code(self) -> Code {
        match self {
            ErrorKind::Usage => Code::InvalidUsage,
            ErrorKind::Divergent => Code::DivergentMigration,
            ErrorKind::Missing => Code::MissingMigration,
            ErrorKind::OutOfOrder => Code::OutOfOrderMigration,
            ErrorKind::History => Code::HistoryElsewhere,
            ErrorKind::Locked => Code::LockTimeout,
            ErrorKind::Connection => Code::ConnectionFailed,
            ErrorKind::Database => Code::StatementFailed,
            ErrorKind::Cache => Code::UnknownCache,
            ErrorKind::Stale => Code::StaleSnapshot,
            ErrorKind::Store => Code::StoreFailed,
            ErrorKind::Cancelled => Code::Cancelled,
            // Errors in sources consist of diagnostics.
            ErrorKind::Failed | ErrorKind::Source => Code::Failed,
        }
    }
}

/// The server message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServerMessage {
    pub message: String,
    pub code: Option<String>,
    pub detail: Option<Box<str>>,
    pub hint: Option<Box<str>>,
    /// The calls of functions in the server, innermost first.
    pub context: Option<Box<str>>,
    /// The place in the server's source that raised the error, which tells errors with one
    /// code apart in any language.
    pub raised_at: Option<Box<str>>,
}

impl ServerMessage {
    /// Shortens each text.
    pub(crate) fn cut(self) -> Self {
        let cut_box = |text: Option<Box<str>>| text.map(|text| cut(text.into()).into());
        ServerMessage {
            message: cut(self.message),
            code: self.code,
            detail: cut_box(self.detail),
            hint: cut_box(self.hint),
            context: cut_box(self.context),
            raised_at: self.raised_at,
        }
    }

    /// Returns the length of all texts, in bytes.
    #[cfg(feature = "postgres")]
    pub(crate) fn len(&self) -> usize {
        let parts = [&self.detail, &self.hint, &self.context];
        self.message.len() + parts.into_iter().flatten().map(|part| part.len()).sum::<usize>()
    }

    /// Hides these secrets, and what looks like one. A server may repeat the statement that
    /// failed, or the values in it.
    pub(crate) fn without_secrets(self, values: &[String]) -> Self {
        let hide = |text: &str| secrets::hide(text, values);
        let part = |text: Option<Box<str>>| text.map(|text| hide(&text).into_boxed_str());
        ServerMessage {
            message: hide(&self.message),
            code: self.code,
            detail: part(self.detail),
            hint: part(self.hint),
            context: part(self.context),
            raised_at: self.raised_at,
        }
    }
}

/// The longest text of a server or of a function that is kept, in bytes.
const LONGEST_TEXT: usize = 4096;

/// Shortens a text that another program chose, and says by how much.
pub(crate) fn cut(mut text: String) -> String {
    let Some(over) = text.len().checked_sub(LONGEST_TEXT).filter(|over| *over > 0) else { return text };
    let end = (0..=LONGEST_TEXT).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    let more = over + LONGEST_TEXT - end;
    text.truncate(end);
    text + &format!("… {more} bytes more")
}

/// A failure.
///
/// ```
/// use bustard::{App, Engine, ErrorKind, Migrator};
///
/// let error = Migrator::new().app(App::directory("main", "no/such/place")).check_sources(Engine::Sqlite).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Source);
/// assert!(error.to_string().contains("no/such/place"));
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    code: Option<Code>,
    message: String,
    app: Option<String>,
    migration: Option<String>,
    place: Option<Place>,
    server_message: Option<ServerMessage>,
    advice: Option<Advice>,
    /// The advice is on how to change a statement.
    is_on_statement: bool,
    diagnostics: Vec<Diagnostic>,
    applied: Option<Vec<String>>,
    notices: Vec<Notice>,
    uncertain: bool,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Box::new(Inner {
            kind,
            code: None,
            message: message.into(),
            app: None,
            migration: None,
            place: None,
            server_message: None,
            advice: None,
            is_on_statement: false,
            diagnostics: Vec::new(),
            applied: None,
            notices: Vec::new(),
            uncertain: false,
            source: None,
        }))
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Usage, message)
    }

    /// Combines diagnostics into one error. There must be at least one.
    pub(crate) fn from_diagnostics(kind: ErrorKind, diagnostics: Vec<Diagnostic>) -> Self {
        let message = match diagnostics.len() {
            1 => diagnostics[0].message.clone(),
            n => format!("{n} errors"),
        };
        let mut error = Error::new(kind, message);
        error.0.diagnostics = diagnostics;
        error
    }

    /// Sets the code.
    pub(crate) fn with_code(mut self, code: Code) -> Self {
        self.0.code = Some(code);
        self
    }

    pub(crate) fn help(mut self, advice: impl Into<Advice>) -> Self {
        self.0.advice = Some(advice.into());
        self.0.is_on_statement = false;
        self
    }

    /// Sets advice on how to change a statement. It helps only where the statement can be
    /// changed.
    pub(crate) fn help_on_statement(mut self, advice: Advice) -> Self {
        self.0.advice = Some(advice);
        self.0.is_on_statement = true;
        self
    }

    pub(crate) fn at(mut self, place: Option<Place>) -> Self {
        self.0.place = place;
        self
    }

    pub(crate) fn with_server_message(mut self, message: ServerMessage) -> Self {
        // A secret may end where the text is cut, so secrets are hidden first.
        self.0.server_message = Some(message.without_secrets(&[]).cut());
        self
    }

    /// Names the current migration, unless one is already named.
    pub(crate) fn in_migration(mut self, app: &str, migration: impl fmt::Display) -> Self {
        if self.0.migration.is_none() {
            self.0.app = Some(app.to_owned());
            self.0.migration = Some(migration.to_string());
        }
        self
    }

    /// Names the file, unless a place is already known.
    pub(crate) fn with_default_place(mut self, file: Option<Place>) -> Self {
        if self.0.place.is_none() {
            self.0.place = file;
        }
        self
    }

    /// Adds advice after the advice that there already is, unless that is on a statement.
    pub(crate) fn and_help(mut self, advice: Advice) -> Self {
        let first = self.0.advice.take().filter(|_| !self.0.is_on_statement);
        self.help(match first {
            Some(first) => first.and("; ").and_then(advice),
            None => advice,
        })
    }

    /// Adds advice, unless there already is some.
    pub(crate) fn or_help(self, advice: impl Into<Advice>) -> Self {
        if self.0.advice.is_some() { self } else { self.help(advice) }
    }

    /// Replaces the message.
    pub(crate) fn with_message(mut self, message: impl Into<String>) -> Self {
        self.0.message = message.into();
        self
    }

    /// Marks the outcome as unknown: the report does not claim that nothing was changed.
    #[cfg(feature = "postgres")]
    pub(crate) fn uncertain(mut self) -> Self {
        self.0.uncertain = true;
        self
    }

    /// Lists the migrations that had committed before the failure.
    pub(crate) fn after(mut self, applied: Vec<String>) -> Self {
        self.0.applied = Some(applied);
        self
    }

    /// Adds what the server said before the failure.
    pub(crate) fn with_notices(mut self, notices: Vec<Notice>) -> Self {
        self.0.notices = notices;
        self
    }

    /// Converts the error to the error of a lock that was not obtained in time.
    #[cfg(feature = "postgres")]
    pub(crate) fn locked(mut self, message: String) -> Self {
        self.0.kind = ErrorKind::Locked;
        self.0.message = message;
        self
    }

    /// Converts the error to the error of a cancelled run.
    #[cfg(feature = "postgres")]
    pub(crate) fn cancelled(mut self) -> Self {
        self.0.kind = ErrorKind::Cancelled;
        self.0.message = "cancelled".to_owned();
        self
    }

    pub(crate) fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Returns the long form, over several lines: message, place with an excerpt, server
    /// message, earlier commits, and advice. `{:#}` prints the same.
    ///
    /// ```
    /// use bustard::{App, Engine, Migration, Migrator};
    ///
    /// let app = App::new("main").migration("V1__a", Migration::new().sql("COMMIT"));
    /// let error = Migrator::new().app(app).check_sources(Engine::Sqlite).unwrap_err();
    /// assert_eq!(error.to_string().lines().count(), 1);
    /// assert!(error.report().to_string().contains("help: remove it"));
    /// ```
    pub fn report(&self) -> ErrorReport<'_> {
        ErrorReport::new(self)
    }

    /// Returns the code of the error. If the error has several diagnostics, this is the
    /// code of the first diagnostic.
    pub fn code(&self) -> Code {
        self.0.code.or(self.0.diagnostics.first().map(Diagnostic::code)).unwrap_or(self.0.kind.code())
    }

    /// Returns the kind of failure.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns what happened, without place or advice.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the label of the app in which the failure happened.
    pub fn app(&self) -> Option<&str> {
        self.0.app.as_deref()
    }

    /// Returns the migration in which the failure happened, as `V1__name`.
    pub fn migration(&self) -> Option<&str> {
        self.0.migration.as_deref()
    }

    /// Returns the file, line and column of the failure.
    pub fn place(&self) -> Option<&Place> {
        self.0.place.as_ref().or_else(|| match self.0.diagnostics.as_slice() {
            [only] => only.place(),
            _ => None,
        })
    }

    /// Returns the five characters of SQLSTATE, or SQLite's extended result code.
    pub fn sqlstate(&self) -> Option<&str> {
        self.0.server_message.as_ref()?.code.as_deref()
    }

    /// Returns the place in the server's source that raised the error.
    #[cfg(feature = "postgres")]
    pub(crate) fn raised_at(&self) -> Option<&str> {
        self.0.server_message.as_ref()?.raised_at.as_deref()
    }

    /// Returns the server message. Secrets in it are replaced by `***`.
    pub fn server_message(&self) -> Option<&str> {
        Some(self.0.server_message.as_ref()?.message.as_str())
    }

    /// Returns what to do next.
    pub fn advice(&self) -> Option<&Advice> {
        self.0.advice.as_ref()
    }

    /// Returns the diagnostics of which the error consists; empty for the failure of a run.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.0.diagnostics
    }

    /// Returns the migrations that the run had committed before it failed, as
    /// `app:V1__name`; `None` if the error is not from a run.
    pub fn applied(&self) -> Option<&[String]> {
        self.0.applied.as_deref()
    }

    /// Returns what the server said before the failure, of the migrations that had committed
    /// and of those that were rolled back.
    pub fn notices(&self) -> &[Notice] {
        &self.0.notices
    }
}

/// Formats one line. `{:#}` formats the [`report`](Error::report).
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            return self.report().fmt(f);
        }
        let inner = &*self.0;
        match inner.diagnostics.as_slice() {
            [] => {}
            [only] => return only.fmt(f),
            [first, ..] => return write!(f, "{}; the first: {first}", one_line(&inner.message)),
        }
        if let (Some(app), Some(migration)) = (&inner.app, &inner.migration) {
            write!(f, "{}:{}: ", clean_line(app), clean_line(migration))?;
        }
        f.write_str(&one_line(&inner.message))?;
        if let Some(server) = &inner.server_message {
            write!(f, ": {}", one_line(&server.message))?;
        }
        let code = inner.server_message.as_ref().and_then(|server| server.code.as_deref().map(one_line));
        let place = inner.place.as_ref().map(|place| one_line(&place.to_string()));
        let more: Vec<String> = code.into_iter().chain(place).collect();
        if more.is_empty() { Ok(()) } else { write!(f, " ({})", more.join(", ")) }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.0.kind, self.report())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a23_long_texts_are_cut_between_characters() {
        for (text, expected) in [
            ("x".repeat(LONGEST_TEXT), "x".repeat(LONGEST_TEXT)),
            ("x".repeat(LONGEST_TEXT + 7), format!("{}… 7 bytes more", "x".repeat(LONGEST_TEXT))),
            ("€".repeat(1366), format!("{}… 3 bytes more", "€".repeat(1365))),
            (format!("x{}", "é".repeat(2048)), format!("x{}… 2 bytes more", "é".repeat(2047))),
        ] {
            assert_eq!(cut(text), expected);
        }
        let long = || Some("y".repeat(5_000_000).into_boxed_str());
        let message = ServerMessage {
            message: "x".repeat(5_000_000),
            code: None,
            detail: long(),
            hint: long(),
            context: long(),
            raised_at: None,
        };
        let error = Error::new(ErrorKind::Database, "refused").with_server_message(message);
        assert!(error.report().to_string().len() < 5 * LONGEST_TEXT);
    }
}
