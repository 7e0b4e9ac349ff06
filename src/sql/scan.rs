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

/// Returns the length of `E'…'`, in which a backslash escapes a quote. Another part may
/// follow on a later line, in which a backslash escapes a quote as well.
pub(crate) fn escaped(text: &str) -> Result<usize, String> {
    let mut end = 1;
    loop {
        end = escaped_part(text, end)?;
        match continued(&text[end..]) {
            Some(blanks) => end += blanks,
            None => return Ok(end),
        }
    }
}

/// Returns the end of the quoted part that begins at `open`.
fn escaped_part(text: &str, open: usize) -> Result<usize, String> {
    let bytes = text.as_bytes();
    let mut at = open + 1;
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

/// Returns the length of the blanks and line comments before another part of a string, if
/// there is one. PostgreSQL requires a line end between the parts, and allows no block
/// comment.
fn continued(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut at, mut new_line) = (0, false);
    loop {
        match *bytes.get(at)? {
            b' ' | b'\t' | 0x0b | 0x0c => at += 1,
            b'\n' | b'\r' => (at, new_line) = (at + 1, true),
            b'-' if bytes.get(at + 1) == Some(&b'-') => at += text[at..].find(['\n', '\r'])?,
            b'\'' if new_line => return Some(at),
            _ => return None,
        }
    }
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
