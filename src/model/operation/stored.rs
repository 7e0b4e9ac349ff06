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
use super::stored_rows::StoredRows;
use crate::diagnostic::Place;
use crate::error::{ErrorKind, Result};
use crate::model::{Changed, SourceText, unreadable};
use crate::sql::split::{Piece, Unit};
use crate::sql::{Admission, Dialect, Rows, Start, Window, Windows, bracket};

/// Consecutive statements of a text.
#[derive(Clone, Debug)]
pub(crate) struct StoredSql {
    text: SourceText,
    file: PathBuf,
    /// The window with the first statement.
    window: Start,
    /// The offset of the first statement in the text.
    first: u64,
    /// The offset of the last statement.
    last: u64,
    count: usize,
    /// The offsets of statements in between that are left out, and do not count.
    dropped: Vec<u64>,
    /// The offsets of BEGIN and COMMIT that are left out, and count.
    left_out: Vec<u64>,
    digest: SipHasher13,
    /// The place and the short form of the first statement.
    shown: (Place, String),
    /// Those of the first statement that is neither BEGIN nor COMMIT.
    other: Option<(Place, String)>,
}

impl StoredSql {
    /// Begins with the first statement. [`add`](Self::add) adds it.
    pub(crate) fn begin(text: SourceText, window: &Window<'_>, unit: &Unit<'_>) -> Self {
        StoredSql {
            text,
            file: window.text.file().to_owned(),
            window: window.start,
            first: window.offset(unit.start()),
            last: 0,
            count: 0,
            dropped: Vec::new(),
            left_out: Vec::new(),
            digest: SipHasher13::new(),
            shown: shown(window, unit),
            other: None,
        }
    }

    /// Adds the next statement. If its rows are in further windows, [`rows`](Self::rows)
    /// adds them.
    pub(crate) fn add(&mut self, window: &Window<'_>, unit: &Unit<'_>) {
        if self.other.is_none() && !bracket::is_of_a_pair(unit) {
            self.other = Some(if self.count == 0 { self.shown.clone() } else { shown(window, unit) });
        }
        self.last = window.offset(unit.start());
        self.count += 1;
        digest(&mut self.digest, unit, has_open_rows(window, unit));
    }

    /// Adds a window of rows.
    pub(crate) fn rows(&mut self, window: &Window<'_>) {
        digest_rows(&mut self.digest, window);
    }

    /// Adds a statement that is left out.
    pub(crate) fn leave_out(&mut self, at: u64) {
        self.dropped.push(at);
    }

    /// Leaves out BEGIN and COMMIT at these offsets, which are in order. Returns whether a
    /// statement is left.
    pub(crate) fn leave_out_all(&mut self, offsets: &[u64]) -> bool {
        let inside = offsets.iter().filter(|at| (self.first..=self.last).contains(at));
        self.left_out = inside.copied().collect();
        if self.left_out.first() == Some(&self.first)
            && let Some(other) = &self.other
        {
            self.shown.clone_from(other);
        }
        self.left_out.len() < self.count
    }

    /// Returns the place of the first statement.
    pub(crate) fn place(&self) -> &Place {
        &self.shown.0
    }

    fn has_changed(&self) -> bool {
        let read = self.text.read().and_then(|mut text| io::copy(&mut text, &mut io::sink()));
        read.is_err_and(|error| Changed::is(&error))
    }

    pub(crate) fn describe(&self) -> String {
        match self.count - self.left_out.len() {
            1 if self.count > 1 => self.other.as_ref().unwrap_or(&self.shown).1.clone(),
            1 => self.shown.1.clone(),
            count => format!("{count} statements"),
        }
    }

    /// Reads the statements again, and gives each to a function.
    pub(crate) fn each(
        &self,
        dialect: &'static dyn Dialect,
        run: &mut dyn FnMut(Statement) -> Result<()>,
    ) -> Result<()> {
        let failed = |error: io::Error| unreadable(&error, Some(Place::file(&self.file)));
        let mut again = Again {
            stored: self,
            dialect,
            left: self.count,
            digest: SipHasher13::new(),
            in_rows: false,
            changed: false,
        };
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
        match again.left == 0
            && !again.in_rows
            && !again.changed
            && again.digest.finish() == self.digest.finish()
        {
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
    /// Whether the rows of the last statement follow.
    in_rows: bool,
    changed: bool,
}

impl Again<'_> {
    /// Gives the statements of a window to a function. Returns whether there are more.
    fn window(&mut self, window: &Window<'_>, run: &mut dyn FnMut(Statement) -> Result<()>) -> Result<bool> {
        if self.in_rows {
            digest_rows(&mut self.digest, window);
            self.in_rows = window.rows != Rows::Last;
            return Ok(self.in_rows || self.left > 0);
        }
        for piece in &window.pieces {
            let Piece::Statement(unit) = piece else { continue };
            let at = window.offset(unit.start());
            if at < self.stored.first || self.stored.dropped.binary_search(&at).is_ok() {
                continue;
            }
            self.in_rows = has_open_rows(window, unit);
            digest(&mut self.digest, unit, self.in_rows);
            self.left -= 1;
            if self.stored.left_out.binary_search(&at).is_ok() && bracket::is_of_a_pair(unit) {
                // The transaction of the migration is around it.
            } else if matches!(self.dialect.judge(unit), Admission::Admitted) {
                run(self.statement(window, unit))?;
            } else {
                // It is another statement than the judged one, and might end the transaction.
                self.changed = true;
                return Ok(false);
            }
            if self.left == 0 && !self.in_rows {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn statement(&self, window: &Window<'_>, unit: &Unit<'_>) -> Statement {
        let mut statement = Statement::of(unit, window.text.place(unit.start()));
        if let (true, Form::CopyIn { end, rows }) = (self.in_rows, &statement.form) {
            let start = window.offset(unit.start() + rows);
            let rows = StoredRows::new(self.stored.text.clone(), start);
            statement.form = Form::CopyStored { end: *end, rows };
        }
        statement
    }
}

fn shown(window: &Window<'_>, unit: &Unit<'_>) -> (Place, String) {
    (window.text.place(unit.start()), summary(unit.sql()))
}

/// Returns whether the rows of a statement are in further windows.
fn has_open_rows(window: &Window<'_>, unit: &Unit<'_>) -> bool {
    window.rows == Rows::Follow && window.text.as_str().len() == unit.start() + unit.with_rows().len()
}

fn digest(digest: &mut SipHasher13, unit: &Unit<'_>, has_open_rows: bool) {
    digest.write(unit.sql().as_bytes());
    digest.write_u8(0xff);
    if let Some((start, _)) = unit.rows_range() {
        digest.write(&unit.with_rows().as_bytes()[start - unit.start()..]);
        if !has_open_rows {
            digest.write_u8(0xff);
        }
    }
}

fn digest_rows(digest: &mut SipHasher13, window: &Window<'_>) {
    digest.write(window.text.as_str().as_bytes());
    if window.rows == Rows::Last {
        digest.write_u8(0xff);
    }
}
