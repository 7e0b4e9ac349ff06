//! Statements of a text that is read again when they are needed.
//!
//! In: the place of the first statement, and what was read when the statements were judged.
//! Out: the statements, one at a time. A statement that differs from the judged one is
//! never given out unjudged, and the difference is an error.

use std::hash::Hasher;
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;

use siphasher::sip::SipHasher13;

use super::statement::{Form, Statement, summary};
use crate::diagnostic::Place;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Changed, SourceText, text_failed};
use crate::sql::split::{Piece, Unit};
use crate::sql::{Admission, Dialect, Start, Window, Windows};

/// Consecutive statements of a text.
#[derive(Clone, Debug)]
pub(crate) struct StoredSql {
    text: SourceText,
    file: PathBuf,
    /// The window with the first statement.
    window: Start,
    /// The offset of the first statement in the text.
    first: u64,
    count: usize,
    /// The offsets of statements in between that are left out.
    dropped: Vec<u64>,
    digest: SipHasher13,
    place: Place,
    summary: String,
}

impl StoredSql {
    /// Begins with the first statement. [`add`](Self::add) adds it.
    pub(crate) fn begin(text: SourceText, window: &Window<'_>, unit: &Unit<'_>) -> Self {
        StoredSql {
            text,
            file: window.text.file().to_owned(),
            window: window.start,
            first: window.offset(unit.start()),
            count: 0,
            dropped: Vec::new(),
            digest: SipHasher13::new(),
            place: window.text.place(unit.start()),
            summary: summary(unit.sql()),
        }
    }

    /// Adds the next statement.
    pub(crate) fn add(&mut self, unit: &Unit<'_>) {
        self.count += 1;
        digest(&mut self.digest, unit);
    }

    /// Adds a statement that is left out.
    pub(crate) fn leave_out(&mut self, at: u64) {
        self.dropped.push(at);
    }

    /// Returns the place of the first statement.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    fn has_changed(&self) -> bool {
        let read = self.text.read().and_then(|mut text| io::copy(&mut text, &mut io::sink()));
        read.is_err_and(|error| Changed::is(&error))
    }

    pub(crate) fn describe(&self) -> String {
        match self.count {
            1 => self.summary.clone(),
            count => format!("{count} statements"),
        }
    }

    /// Reads the statements again, and gives each to a function.
    pub(crate) fn each(
        &self,
        dialect: &'static dyn Dialect,
        run: &mut dyn FnMut(Statement) -> Result<()>,
    ) -> Result<()> {
        let failed = |error: io::Error| {
            let place = Some(Place::file(&self.file));
            Error::from_diagnostics(ErrorKind::Failed, vec![text_failed(&error, place)])
        };
        let mut again =
            Again { stored: self, dialect, left: self.count, digest: SipHasher13::new(), changed: false };
        let mut ended = Ok(());
        let input = self.text.read_from(self.window.offset).map_err(failed)?;
        let windows = Windows::from(&self.file, input, dialect.syntax(), self.window);
        let read = windows.each(&mut |window| {
            again.window(window, run).map_or_else(
                |error| {
                    ended = Err(error);
                    ControlFlow::Break(())
                },
                |more| if more { ControlFlow::Continue(()) } else { ControlFlow::Break(()) },
            )
        });
        if let Err(error) = ended {
            let changed = error.kind() == ErrorKind::Database && self.has_changed();
            return Err(if changed { failed(Changed::error()) } else { error });
        }
        read.map_err(failed)?;
        match again.left == 0 && !again.changed && again.digest.finish() == self.digest.finish() {
            true => Ok(()),
            false => Err(failed(Changed::error())),
        }
    }
}

/// A second reading.
struct Again<'a> {
    stored: &'a StoredSql,
    dialect: &'static dyn Dialect,
    left: usize,
    digest: SipHasher13,
    changed: bool,
}

impl Again<'_> {
    /// Gives the statements of a window to a function. Returns whether there are more.
    fn window(&mut self, window: &Window<'_>, run: &mut dyn FnMut(Statement) -> Result<()>) -> Result<bool> {
        for piece in &window.pieces {
            let Piece::Statement(unit) = piece else { continue };
            let at = window.offset(unit.start());
            if at < self.stored.first || self.stored.dropped.binary_search(&at).is_ok() {
                continue;
            }
            digest(&mut self.digest, unit);
            self.left -= 1;
            if !matches!(self.dialect.judge(unit), Admission::Admitted) {
                // It is another statement than the judged one, and might end the transaction.
                self.changed = true;
                return Ok(false);
            }
            let place = Some(window.text.place(unit.start()));
            run(Statement { sql: unit.sql().to_owned(), place, form: Form::Statement })?;
            if self.left == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn digest(digest: &mut SipHasher13, unit: &Unit<'_>) {
    digest.write(unit.sql().as_bytes());
    digest.write_u8(0xff);
}
