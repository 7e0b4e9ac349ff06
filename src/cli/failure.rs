//! Failures of the command: an error of the library, or an error of the command
//! itself (invalid arguments, an unusable working directory, a closed standard
//! output). Both are printed in the same format, as text and as JSON.

use std::any::Any;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use bustard::diagnostic::Code;
use bustard::{Error, ErrorKind};

use super::exit::Exit;
use super::lines::one_line;
use super::{program, signals};

/// A failure of the command.
#[derive(Debug)]
pub enum Failure {
    /// An error of the library.
    Library(Error),
    /// Arguments that are invalid, or that do not fit the apps or the directory.
    Usage(Usage),
    /// The result could not be written.
    Output(io::Error),
    /// Code of the host or of a plugin panicked with this message.
    Panicked(String),
}

/// The arguments or the working directory are not valid.
#[derive(Debug, Default)]
pub struct Usage {
    pub message: String,
    pub file: Option<PathBuf>,
    pub help: Option<String>,
}

impl Failure {
    pub fn usage(message: impl Into<String>) -> Usage {
        Usage { message: message.into(), ..Usage::default() }
    }

    /// Returns the exit code for this failure.
    pub fn exit(&self) -> Exit {
        match self {
            Failure::Library(error) => match (Exit::of(error.kind()), signals::received()) {
                // After a signal, a statement fails in one of several ways: cancelled by the
                // server, by us, or for want of an answer.
                (Exit::Failed, Some(signal)) => Exit::Signal(signal),
                (exit, _) => exit,
            },
            Failure::Usage(_) => Exit::Usage,
            Failure::Output(_) | Failure::Panicked(_) => Exit::Failed,
        }
    }

    /// Returns the `code` of the failure in JSON.
    pub fn code(&self) -> Code {
        match self {
            Failure::Library(error) => error.code(),
            Failure::Usage(_) => Code::InvalidUsage,
            Failure::Output(_) | Failure::Panicked(_) => Code::Failed,
        }
    }

    /// Returns the `kind` of the failure in JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            Failure::Usage(_) => "usage",
            Failure::Output(_) | Failure::Panicked(_) => "failed",
            Failure::Library(error) => match error.kind() {
                ErrorKind::Usage => "usage",
                ErrorKind::Source => "source",
                ErrorKind::Divergent => "divergent",
                ErrorKind::Missing => "missing",
                ErrorKind::OutOfOrder => "out_of_order",
                ErrorKind::History => "history",
                ErrorKind::Locked => "locked",
                ErrorKind::Connection => "connection",
                ErrorKind::Database => "database",
                ErrorKind::Cache => "cache",
                ErrorKind::Cancelled => "cancelled",
                _ => "failed",
            },
        }
    }
}

impl From<Box<dyn Any + Send>> for Failure {
    fn from(payload: Box<dyn Any + Send>) -> Self {
        let words = payload.downcast_ref::<&str>().map(|words| (*words).to_owned());
        let words = words.or_else(|| payload.downcast_ref::<String>().cloned());
        Failure::Panicked(words.unwrap_or_else(|| "no message".to_owned()))
    }
}

impl Usage {
    /// Sets the help text. An empty text sets none.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into()).filter(|help| !help.is_empty());
        self
    }

    pub fn file(mut self, path: &Path) -> Self {
        self.file = Some(path.to_owned());
        self
    }
}

impl From<Usage> for Failure {
    fn from(usage: Usage) -> Self {
        Failure::Usage(usage)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Library(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Library(error) => error.report().for_command(&program::name()).fmt(f),
            Failure::Usage(usage) => usage.fmt(f),
            Failure::Output(error) => write!(f, "cannot write to standard output: {error}"),
            Failure::Panicked(words) => {
                write!(
                    f,
                    "panicked: {}\n  the open transaction was rolled back",
                    words.replace('\n', "\n    ")
                )
            }
        }
    }
}

impl fmt::Display for Usage {
    // Uses the same format as the errors of the library.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&one_line(&self.message))?;
        if let Some(file) = &self.file {
            write!(f, "\n  --> {}", one_line(&file.display().to_string()))?;
        }
        match &self.help {
            Some(help) => write!(f, "\n  help: {}", help.replace('\n', "\n    ")),
            None => Ok(()),
        }
    }
}
