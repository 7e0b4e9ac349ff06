//! The long form of an error.
//!
//! In: an error. Out: its message, excerpt, server message, earlier commits and advice.

use std::fmt;

use super::{Error, ServerMessage};
use crate::diagnostic::{clean_line, indented, one_line, write_advice, write_message};

/// An [`Error`] over several lines, from [`Error::report`].
#[derive(Clone, Copy)]
pub struct ErrorReport<'a> {
    error: &'a Error,
    program: Option<&'a str>,
}

impl<'a> ErrorReport<'a> {
    pub(super) fn new(error: &'a Error) -> Self {
        ErrorReport { error, program: None }
    }

    /// Shows advice as commands of a program such as `bustard`, not as calls of the
    /// library.
    pub fn for_command(self, program: &'a str) -> Self {
        ErrorReport { program: Some(program), ..self }
    }
}

impl fmt::Display for ErrorReport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.error.0;
        if inner.diagnostics.is_empty() {
            if let (Some(app), Some(migration)) = (&inner.app, &inner.migration) {
                write!(f, "{}:{}: ", clean_line(app), clean_line(migration))?;
            }
            write_message(f, &inner.message, inner.place.as_ref())?;
        }
        for (i, diagnostic) in inner.diagnostics.iter().enumerate() {
            if i > 0 {
                write!(f, "\n\n")?;
            }
            write_message(f, &diagnostic.message, diagnostic.place.as_ref())?;
            write_advice(f, diagnostic.advice.as_ref(), self.program)?;
        }
        if let Some(server) = &inner.server_message {
            write_server_message(f, server)?;
        }
        match inner.applied.as_deref() {
            None => {}
            Some([]) if inner.uncertain => {}
            Some([]) => write!(f, "\n  nothing was changed")?,
            Some(applied) => {
                write!(f, "\n  committed before it, and kept: {}", one_line(&applied.join(", ")))?
            }
        }
        write_advice(f, inner.advice.as_ref(), self.program)
    }
}

impl fmt::Debug for ErrorReport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn write_server_message(f: &mut fmt::Formatter<'_>, server: &ServerMessage) -> fmt::Result {
    write!(f, "\n  database: {}", indented(&server.message))?;
    if let Some(code) = &server.code {
        write!(f, " ({})", clean_line(code))?;
    }
    let parts = [("detail", &server.detail), ("hint", &server.hint), ("context", &server.context)];
    for (label, text) in parts {
        if let Some(text) = text {
            write!(f, "\n  {label}: {}", indented(text))?;
        }
    }
    Ok(())
}
