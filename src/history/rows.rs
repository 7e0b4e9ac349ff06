//! Helpers for the rows of Bustard's own tables.
//!
//! In: columns and values. Out: SQL conditions, and the error for a malformed row.

use sea_query::{SimpleExpr, Value};

use crate::error::{Error, ErrorKind};
use crate::sql::Dialect;

pub(super) fn strange() -> Error {
    Error::new(ErrorKind::Failed, "Bustard's own tables contain a row that Bustard has not written")
        .help("only Bustard writes to its own tables: find out what else does")
}

/// Returns the condition that a column has one of these values.
pub(super) fn among<V: Into<Value> + Clone>(
    dialect: &'static dyn Dialect,
    column: &'static str,
    values: &[V],
) -> SimpleExpr {
    dialect.among(column, values.iter().cloned().map(Into::into).collect())
}
