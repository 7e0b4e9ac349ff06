//! The text of SQL, pure: tokens, statements, names, directives, and what a statement
//! does. Nothing here knows migrations or databases.

pub(crate) mod directive;
mod effects;
pub(crate) mod lexer;
pub(crate) mod names;
pub(crate) mod refuse;
pub(crate) mod scan;
pub(crate) mod split;
mod table_name;
mod text;

pub(crate) use effects::Effects;
pub(crate) use table_name::{TableName, quoted_length};
pub(crate) use text::Text;

use crate::model::Engine;

/// The tokens of a text as they are written, without blanks and comments.
#[cfg(feature = "testing")]
pub(crate) fn tokens(text: &str, engine: Engine) -> impl Iterator<Item = &str> {
    let spoken = |token: &lexer::Token| !matches!(token.kind, lexer::Kind::Blank | lexer::Kind::LineComment);
    lexer::lex(text, engine).0.into_iter().filter(spoken).map(|token| &text[token.start..token.end])
}
