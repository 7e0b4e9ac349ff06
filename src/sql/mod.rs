//! Analysis of SQL text: tokens, statements, names, directives, and the effects of a
//! statement. Everything here is pure and independent of connections.
//!
//! In: SQL text. Out: statements, directives and diagnostics with their places.

#[cfg(feature = "_sql")]
pub(crate) mod bracket;
#[cfg(feature = "_sql")]
pub(crate) mod copy;
mod dialect;
#[cfg(feature = "_sql")]
pub(crate) mod directive;
#[cfg(feature = "_sql")]
mod effects;
mod history;
#[cfg(feature = "_sql")]
pub(crate) mod lexer;
#[cfg(feature = "_sql")]
pub(crate) mod lookalike;
pub(crate) mod names;
mod records;
#[cfg(feature = "_sql")]
mod refuse;
mod registry;
#[cfg(all(test, feature = "_sql"))]
mod regress_tests;
#[cfg(feature = "_sql")]
pub(crate) mod scan;
#[cfg(feature = "_sql")]
pub(crate) mod split;
mod syntax;
mod table_name;
#[cfg(all(test, feature = "_sql"))]
pub(crate) mod tests;
#[cfg(feature = "_sql")]
mod text;
#[cfg(feature = "_sql")]
mod token;
mod tracked_table;
mod which;
#[cfg(feature = "_sql")]
mod windows;

pub use dialect::{Dialect, Query};
pub(crate) use dialect::{write_query, write_schema};
#[cfg(feature = "_sql")]
pub(crate) use effects::Effects;
pub(crate) use history::applied_query;
pub use records::RecordsSql;
#[cfg(feature = "_sql")]
pub use refuse::Admission;
pub use registry::{Manner, RegistrySql};
#[cfg(feature = "_sql")]
pub use split::Unit;
pub use syntax::{Semicolons, Shell, Syntax};
pub use table_name::TableName;
pub(crate) use table_name::quoted_length;
pub(crate) use table_name::unquoted;
#[cfg(feature = "_sql")]
pub(crate) use text::Text;
pub use tracked_table::TrackedTable;
pub(crate) use which::Which;
#[cfg(feature = "_sql")]
pub(crate) use windows::{Rows, Start, WINDOW, Window, Windows};

/// Returns the tokens of a text verbatim, without white space and comments.
#[cfg(feature = "testing")]
pub(crate) fn tokens<'t>(text: &'t str, syntax: &Syntax) -> impl Iterator<Item = &'t str> + use<'t> {
    let visible =
        |token: &lexer::Token| !matches!(token.kind, lexer::TokenKind::Blank | lexer::TokenKind::LineComment);
    lexer::lex(text, syntax).0.into_iter().filter(visible).map(|token| &text[token.start..token.end])
}
