//! The operation "SQL text".
//!
//! In: the text of a migration. Out: its statements, each with its place.

use std::sync::Arc;

use super::StoredSql;
use super::statement::{Statement, summary};
use crate::diagnostic::Place;
use crate::error::Result;
use crate::sql::Dialect;

/// SQL text and, once it has been split for an engine, its statements.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sql {
    text: String,
    statements: Vec<Statement>,
    stored: Option<Arc<StoredSql>>,
}

impl Sql {
    /// Creates an operation from text that has not been split yet.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Sql { text: text.into(), ..Sql::default() }
    }

    /// Creates an operation from text and its statements.
    pub(crate) fn split(text: impl Into<String>, statements: Vec<Statement>) -> Self {
        Sql { text: text.into(), statements, stored: None }
    }

    /// Creates an operation from statements that are not kept in memory.
    pub(crate) fn stored(stored: StoredSql) -> Self {
        Sql { stored: Some(Arc::new(stored)), ..Sql::default() }
    }

    /// Returns the original text.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the statements in memory, in order.
    pub(crate) fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// Gives each statement to a function, in order.
    ///
    /// # Errors
    ///
    /// Returns the error of the function, or that of reading the text again.
    pub(crate) fn each(
        &self,
        dialect: &'static dyn Dialect,
        run: &mut dyn FnMut(Statement) -> Result<()>,
    ) -> Result<()> {
        match &self.stored {
            Some(stored) => stored.each(dialect, run),
            None => self.statements.iter().cloned().try_for_each(run),
        }
    }

    /// Gives each statement to a function, in order, with its rows in memory.
    ///
    /// # Errors
    ///
    /// Returns the error of the function, or that of reading the text again.
    pub(crate) fn each_in_memory(
        &self,
        dialect: &'static dyn Dialect,
        run: &mut dyn FnMut(Statement) -> Result<()>,
    ) -> Result<()> {
        self.each(dialect, &mut |statement| run(statement.in_memory()?))
    }

    /// Leaves out statements of a text that is read again, by their offsets in it, which are
    /// in order. Returns whether a statement is left.
    pub(crate) fn leave_out(&mut self, offsets: &[u64]) -> bool {
        match self.stored.as_mut().map(Arc::make_mut) {
            Some(stored) => stored.leave_out_all(offsets),
            None => true,
        }
    }

    /// Returns the place of the first statement.
    pub(crate) fn place(&self) -> Option<&Place> {
        match &self.stored {
            Some(stored) => Some(stored.place()),
            None => self.statements.first()?.place.as_ref(),
        }
    }

    pub(crate) fn describe(&self) -> String {
        if let Some(stored) = &self.stored {
            return stored.describe();
        }
        match self.statements.as_slice() {
            [only] => summary(only.without_rows()),
            many => format!("{} statements", many.len()),
        }
    }
}
