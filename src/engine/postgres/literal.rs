//! String literals.

use sea_query::{PostgresQueryBuilder, QueryBuilder as _};

/// Writes a string literal that does not depend on the session's settings.
pub(super) fn literal(text: &str) -> String {
    PostgresQueryBuilder.value_to_string(&text.into())
}
