//! Comments that look like instructions: near misses of our directives, and markers of other
//! tools.
//!
//! In: a token that is a comment, or that begins a line. Out: what it looks like, and its
//! byte offset.
//!
//! Such a comment was probably meant to be obeyed. Most of these comments separate the
//! statements that revert a migration, which would be executed if the comment were ignored.

mod markers;
mod near_miss;
#[cfg(test)]
mod tests;

use super::lexer::{Token, TokenKind};
use crate::diagnostic::{Diagnostic, is_unsafe};
pub(crate) use markers::{Tool, foreign};

/// What a comment looks like.
#[derive(Debug)]
pub(crate) enum Lookalike {
    /// A directive of ours, but for a mistake.
    NearMiss(Box<Diagnostic>),
    /// A marker of another tool, with its text.
    Marker(&'static Tool, String),
}

/// One line of a comment, without the signs that make it one.
struct Line<'t> {
    /// The byte offset of the content.
    start: usize,
    content: &'t str,
    /// Whether the line contains nothing but the comment.
    whole: bool,
}

/// Returns what the lines of a comment look like, in order. The token must not be a
/// directive.
pub(crate) fn in_token(text: &str, token: &Token) -> Vec<(usize, Lookalike)> {
    let source = &text[token.start..token.end];
    let lines = match token.kind {
        TokenKind::LineComment => vec![Line {
            start: token.start + 2,
            content: source.strip_prefix("--").unwrap_or(source),
            whole: starts_line(text, token.start),
        }],
        TokenKind::Blank if source.starts_with("/*") => block_lines(text, token),
        // A marker may begin with signs that are no comment in SQL: `# !Downs`, `//@UNDO`.
        TokenKind::Other if source.starts_with(['#', '/']) && starts_line(text, token.start) => {
            let content = text[token.start..].lines().next().unwrap_or_default();
            // After `--` follows a token of its own.
            let alone = !content.contains("--") && (content.starts_with('#') || content.starts_with("//"));
            let mark = alone.then(|| markers::find(content)).flatten();
            return mark.map(|mark| (token.start, mark)).into_iter().collect();
        }
        _ => Vec::new(),
    };
    let judge = |line: &Line<'_>| match markers::find(line.content) {
        Some(mark) => Some((line.start + blanks(line.content), mark)),
        None => near_miss::find(line),
    };
    lines.iter().filter_map(judge).collect()
}

fn blanks(text: &str) -> usize {
    text.len() - text.trim_start().len()
}

fn starts_line(text: &str, at: usize) -> bool {
    let before = text[..at].rsplit(['\n', '\r']).next().unwrap_or_default();
    before.trim().is_empty()
}

fn block_lines<'t>(text: &'t str, comment: &Token) -> Vec<Line<'t>> {
    let source = &text[comment.start..comment.end];
    let end = if source.len() >= 4 && source.ends_with("*/") { comment.end - 2 } else { comment.end };
    let rest = text[comment.end..].split(['\n', '\r']).next().unwrap_or_default();
    let mut lines = Vec::new();
    let mut start = comment.start + 2;
    for content in text[start..end].split(['\n', '\r']) {
        let first = start == comment.start + 2;
        let next = start + content.len() + 1;
        let whole = (!first || starts_line(text, comment.start)) && (next <= end || rest.trim().is_empty());
        let content = content.trim_end_matches(|c: char| c == '*' || c.is_whitespace());
        lines.push(Line { start, content, whole });
        start = next;
    }
    lines
}

/// A text in lower case, without marks and characters that are not visible, and with full-width
/// characters as ASCII; each character with its byte offset.
fn folded(content: &str) -> Vec<(usize, char)> {
    let mut folded = Vec::with_capacity(content.len());
    for (at, c) in content.char_indices() {
        let c = match c {
            '\u{300}'..='\u{36f}' => continue,
            c if is_unsafe(c) && !c.is_whitespace() => continue,
            '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
            c if c.is_whitespace() => ' ',
            c => c,
        };
        folded.extend(c.to_lowercase().map(|c| (at, c)));
    }
    folded
}

/// Returns a text for a message, cut if it is long.
fn shown(content: &str) -> String {
    const LONGEST: usize = 60;
    let content = content.trim();
    match content.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &content[..end]),
        None => content.to_owned(),
    }
}
