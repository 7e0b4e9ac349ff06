//! What can go wrong, said so that the reader knows what to do next.
//!
//! [`Error`] is opaque: ask it for its [`ErrorKind`], its [`Place`] or the
//! SQLSTATE. Printing it gives the whole story over several lines: what
//! happened, where, what the database said, and the next step. No secret of a
//! connection URL ever gets into one.

use std::fmt;

use crate::diagnostic::{Diagnostic, Place, write_diagnostic};

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of failure it is; the command turns it into its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The caller asked for something that makes no sense: an unknown option
    /// or target, a bad connection URL, a bad configuration.
    Usage,
    /// Migration files or migrations built in code are wrong; nothing was
    /// connected to.
    Source,
    /// An applied migration differs from its file.
    Divergent,
    /// An applied migration has no file.
    Missing,
    /// A pending migration is older than an applied one.
    OutOfOrder,
    /// The migration lock was not obtained in time.
    Locked,
    /// No connection to the database, or it was lost.
    Connection,
    /// The database refused a statement.
    Database,
    /// A cache is unknown, or registered twice.
    Cache,
    /// The versions of caches are not known now: the database has not answered
    /// for longer than `max_staleness`. What is cached counts as invalid.
    Stale,
    /// A store of cached values did not answer, or not as it should.
    Store,
    /// The run was cancelled from outside.
    Cancelled,
    /// Whatever else: a function of a migration failed, history of another shape.
    Failed,
}

/// What the database said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServerMessage {
    pub message: String,
    pub code: Option<String>,
    pub detail: Option<Box<str>>,
    pub hint: Option<Box<str>>,
    /// Which functions of the server called each other, innermost first.
    pub context: Option<Box<str>>,
}

/// Why something failed.
///
/// ```
/// use bustard::{App, Engine, ErrorKind, Migrator};
///
/// let error = Migrator::new().app(App::directory("main", "no/such/place")).load(Engine::Sqlite).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Source);
/// assert!(error.to_string().contains("no/such/place"));
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    app: Option<String>,
    migration: Option<String>,
    place: Option<Place>,
    said: Option<ServerMessage>,
    help: Option<String>,
    problems: Vec<Diagnostic>,
    applied: Option<Vec<String>>,
    uncertain: bool,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Box::new(Inner {
            kind,
            message: message.into(),
            app: None,
            migration: None,
            place: None,
            said: None,
            help: None,
            problems: Vec::new(),
            applied: None,
            uncertain: false,
            source: None,
        }))
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Usage, message)
    }

    /// Several problems as one error; there must be at least one.
    pub(crate) fn problems(kind: ErrorKind, problems: Vec<Diagnostic>) -> Self {
        let message = match problems.len() {
            1 => problems[0].message.clone(),
            n => format!("{n} problems"),
        };
        let mut error = Error::new(kind, message);
        error.0.problems = problems;
        error
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.0.help = Some(help.into());
        self
    }

    pub(crate) fn at(mut self, place: Option<Place>) -> Self {
        self.0.place = place;
        self
    }

    pub(crate) fn said(mut self, said: ServerMessage) -> Self {
        self.0.said = Some(said);
        self
    }

    /// Names the migration at work, unless one is named already.
    pub(crate) fn in_migration(mut self, app: &str, migration: impl fmt::Display) -> Self {
        if self.0.migration.is_none() {
            self.0.app = Some(app.to_owned());
            self.0.migration = Some(migration.to_string());
        }
        self
    }

    /// Says at least in which file it was, where nothing better is known.
    pub(crate) fn or_in_file(mut self, file: Option<Place>) -> Self {
        if self.0.place.is_none() {
            self.0.place = file;
        }
        self
    }

    /// What to do next, unless something better is said already.
    pub(crate) fn or_help(self, help: impl Into<String>) -> Self {
        if self.0.help.is_some() { self } else { self.help(help) }
    }

    /// Says it in other words.
    pub(crate) fn with_message(mut self, message: impl Into<String>) -> Self {
        self.0.message = message.into();
        self
    }

    /// Makes no claim that nothing was changed.
    #[cfg(feature = "postgres")]
    pub(crate) fn uncertain(mut self) -> Self {
        self.0.uncertain = true;
        self
    }

    /// Lists what had committed before the failure.
    pub(crate) fn after(mut self, applied: Vec<String>) -> Self {
        self.0.applied = Some(applied);
        self
    }

    /// The same failure, known to have been asked for.
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

    /// What sort of failure this is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The first line: what happened, without place or advice.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The label of the app at work when it happened.
    pub fn app(&self) -> Option<&str> {
        self.0.app.as_deref()
    }

    /// The migration at work when it happened, as `V1__name`.
    pub fn migration(&self) -> Option<&str> {
        self.0.migration.as_deref()
    }

    /// The file, line and column of it.
    pub fn place(&self) -> Option<&Place> {
        self.0.place.as_ref().or_else(|| match self.0.problems.as_slice() {
            [only] => only.place(),
            _ => None,
        })
    }

    /// The five characters of SQLSTATE, or SQLite's extended result code.
    pub fn sqlstate(&self) -> Option<&str> {
        self.0.said.as_ref()?.code.as_deref()
    }

    /// What the database said, word for word.
    pub fn database_message(&self) -> Option<&str> {
        Some(self.0.said.as_ref()?.message.as_str())
    }

    /// What to do next.
    pub fn help_text(&self) -> Option<&str> {
        self.0.help.as_deref()
    }

    /// Everything that is wrong, where there is more than one thing.
    pub fn all_problems(&self) -> &[Diagnostic] {
        &self.0.problems
    }

    /// The migrations that the run had committed before it failed, as
    /// `app:V1__name`; `None` where no run was under way.
    pub fn applied(&self) -> Option<&[String]> {
        self.0.applied.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        if inner.problems.is_empty() {
            if let (Some(app), Some(migration)) = (&inner.app, &inner.migration) {
                write!(f, "{app}:{migration}: ")?;
            }
            write_diagnostic(f, &inner.message, inner.place.as_ref())?;
        }
        for (i, problem) in inner.problems.iter().enumerate() {
            if i > 0 {
                write!(f, "\n\n")?;
            }
            write!(f, "{problem}")?;
        }
        if let Some(said) = &inner.said {
            write!(f, "\n  database: {}", said.message)?;
            if let Some(code) = &said.code {
                write!(f, " ({code})")?;
            }
            let parts = [("detail", &said.detail), ("hint", &said.hint), ("context", &said.context)];
            for (label, text) in parts {
                if let Some(text) = text {
                    write!(f, "\n  {label}: {}", text.replace('\n', "\n    "))?;
                }
            }
        }
        match inner.applied.as_deref() {
            None => {}
            Some([]) if inner.uncertain => {}
            Some([]) => write!(f, "\n  nothing was changed")?,
            Some(applied) => write!(f, "\n  committed before it, and kept: {}", applied.join(", "))?,
        }
        if let Some(help) = &inner.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
