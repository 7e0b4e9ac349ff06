//! What all rows beside the histories have in common.

use sea_query::{SimpleExpr, Value};

use crate::error::{Error, ErrorKind};
use crate::sql::Dialect;

pub(super) fn strange() -> Error {
    Error::new(ErrorKind::Failed, "Bustard's own tables hold a row that no Bustard has written")
        .help("only Bustard writes to its own tables: find out what else does")
}

/// Whether a column has one of these values.
pub(super) fn among<V: Into<Value> + Clone>(
    dialect: &'static dyn Dialect,
    column: &'static str,
    values: &[V],
) -> SimpleExpr {
    dialect.among(column, values.iter().cloned().map(Into::into).collect())
}
