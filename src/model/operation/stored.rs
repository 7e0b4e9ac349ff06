//! Statements of a text that is read again when they are needed.
//!
//! In: the place of the first statement, and what was read when the statements were judged.
//! Out: the statements, one at a time.

use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;

use super::statement::{Form, Statement, summary};
use super::stored_rows::StoredRows;
use crate::diagnostic::Place;
use crate::error::Result;
use crate::model::{SourceText, unreadable};
use crate::sql::split::{Piece, Unit};
use crate::sql::{Dialect, Rows, Start, Window, Windows, bracket};

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
            shown: shown(window, unit),
            other: None,
        }
    }

    /// Adds the next statement.
    pub(crate) fn add(&mut self, window: &Window<'_>, unit: &Unit<'_>) {
        if self.other.is_none() && !bracket::is_of_a_pair(unit) {
            self.other = Some(if self.count == 0 { self.shown.clone() } else { shown(window, unit) });
        }
        self.last = window.offset(unit.start());
        self.count += 1;
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
        let mut again = Again { stored: self, left: self.count, in_rows: false };
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
        ended?;
        read.map_err(failed)
    }
}

/// A second reading.
struct Again<'a> {
    stored: &'a StoredSql,
    left: usize,
    /// Whether the rows of the last statement follow.
    in_rows: bool,
}

impl Again<'_> {
    /// Gives the statements of a window to a function. Returns whether there are more.
    fn window(&mut self, window: &Window<'_>, run: &mut dyn FnMut(Statement) -> Result<()>) -> Result<bool> {
        if self.in_rows {
            self.in_rows = window.rows != Rows::Last;
            return Ok(self.left > 0);
        }
        for piece in &window.pieces {
            let Piece::Statement(unit) = piece else { continue };
            let at = window.offset(unit.start());
            if at < self.stored.first || self.stored.dropped.binary_search(&at).is_ok() {
                continue;
            }
            self.in_rows = has_open_rows(window, unit);
            self.left -= 1;
            // The transaction of the migration is around pairs that are left out.
            if self.stored.left_out.binary_search(&at).is_err() {
                run(self.statement(window, unit))?;
            }
            if self.left == 0 {
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
