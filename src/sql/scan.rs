//! Reads one token that the tokenizer has rejected.
//!
//! In: text that starts with the token. Out: its length in bytes, or the kind of the
//! unterminated token.

use super::syntax::Syntax;

/// An unterminated string, name or comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unended {
    pub what: String,
    pub start: usize,
}

/// Returns the length of the token at the start of `text`. An unquoted token counts as one
/// character, because no caller depends on the ends of operators and numbers.
pub(crate) fn scan(text: &str, syntax: &Syntax) -> Result<usize, String> {
    let bytes = text.as_bytes();
    let second = bytes.get(1).copied();
    let Syntax { escaped_strings, foreign_quotes, .. } = *syntax;
    match bytes.first() {
        Some(b'\'') => quoted(text, 0, "a string"),
        Some(b'e' | b'E') if escaped_strings && second == Some(b'\'') => escaped(text),
        Some(b'b' | b'B' | b'n' | b'N' | b'x' | b'X') if second == Some(b'\'') => quoted(text, 1, "a string"),
        Some(b'u' | b'U') if escaped_strings && bytes[1..].starts_with(b"&'") => quoted(text, 2, "a string"),
        Some(b'"') => quoted(text, 0, "a quoted name"),
        Some(b'`') if foreign_quotes => quoted(text, 0, "a quoted name"),
        Some(b'[') if foreign_quotes => {
            text.find(']').map(|at| at + 1).ok_or_else(|| "a quoted name".to_owned())
        }
        Some(b'$') if escaped_strings => dollar_quoted(text),
        Some(b'/') if second == Some(b'*') => block_comment(text, syntax),
        _ => Ok(text.chars().next().map_or(0, char::len_utf8)),
    }
}

/// Returns the end of a quoted text: the next quote that is not doubled.
pub(crate) fn quoted(text: &str, open: usize, what: &str) -> Result<usize, String> {
    let bytes = text.as_bytes();
    let quote = bytes[open];
    let mut at = open + 1;
    while at < bytes.len() {
        if bytes[at] != quote {
            at += 1;
        } else if bytes.get(at + 1) == Some(&quote) {
            at += 2;
        } else {
            return Ok(at + 1);
        }
    }
    Err(what.to_owned())
}

/// Returns the length of `E'…'`, in which a backslash escapes a quote.
fn escaped(text: &str) -> Result<usize, String> {
    let bytes = text.as_bytes();
    let mut at = 2;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'\'' if bytes.get(at + 1) == Some(&b'\'') => at += 2,
            b'\'' => return Ok(at + 1),
            _ => at += 1,
        }
    }
    Err("a string".to_owned())
}

fn dollar_quoted(text: &str) -> Result<usize, String> {
    let word = text[1..].find(|c: char| !(c.is_alphanumeric() || c == '_'));
    match word.filter(|length| text[1 + length..].starts_with('$')) {
        Some(length) => {
            let tag = &text[..length + 2];
            let end = text[tag.len()..].find(tag).ok_or_else(|| format!("a dollar-quoted string ({tag})"))?;
            Ok(end + 2 * tag.len())
        }
        None => Ok(1),
    }
}

/// Returns the length of a block comment. On an engine without nested comments, the end of
/// the text terminates a comment.
fn block_comment(text: &str, syntax: &Syntax) -> Result<usize, String> {
    if !syntax.nested_comments {
        return Ok(text[2..].find("*/").map_or(text.len(), |at| at + 4));
    }
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (0, 0);
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return Ok(at);
        }
    }
    Err("a block comment".to_owned())
}
