//! The literals of SQL.
//!
//! In: SQL, complete or not. Out: the ranges of its literals, and the ends of its statements.

use std::ops::Range;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A string literal; its range is without the quotes.
    Literal,
    /// A dollar-quoted string, which may be a body; its range is without the tags.
    Dollar,
    /// The end of a statement.
    End,
}

pub(super) struct Piece {
    pub kind: Kind,
    pub range: Range<usize>,
}

/// The literals of SQL, also of SQL within a message, where a quoted name may be a whole
/// statement and an apostrophe may be one of a sentence.
pub(super) struct Pieces<'s> {
    sql: &'s str,
    at: usize,
    end: usize,
    /// The start of the current statement.
    start: usize,
}

impl<'s> Pieces<'s> {
    pub(super) fn of(sql: &'s str, range: Range<usize>) -> Self {
        Pieces { sql, at: range.start, end: range.end, start: range.start }
    }

    /// Returns the next literal, or the end of a statement.
    pub(super) fn next(&mut self) -> Option<Piece> {
        let bytes = self.sql.as_bytes();
        while self.at < self.end {
            let (at, rest) = (self.at, &self.sql[self.at..self.end]);
            match bytes[at] {
                b'-' if rest.starts_with("--") => self.at += rest.find('\n').unwrap_or(rest.len()),
                b'/' if rest.starts_with("/*") => {
                    self.at += rest[2..].find("*/").map_or(rest.len(), |length| length + 4);
                }
                b'\'' if self.is_opening(at) => {
                    let length = literal(&rest[1..], self.has_escapes(at));
                    self.at = (at + length + 2).min(self.end);
                    return Some(Piece { kind: Kind::Literal, range: at + 1..at + 1 + length });
                }
                b'$' => match dollar(rest) {
                    Some((tag, length)) => {
                        self.at += (2 * tag + length).min(rest.len());
                        return Some(Piece { kind: Kind::Dollar, range: at + tag..at + tag + length });
                    }
                    None => self.at += 1,
                },
                b';' => {
                    let rows = rows(&self.sql[self.start..at], &rest[1..]);
                    (self.at, self.start) = (at + 1 + rows, at + 1 + rows);
                    return Some(Piece { kind: Kind::End, range: at..at + 1 + rows });
                }
                _ => self.at += rest.chars().next().map_or(1, char::len_utf8),
            }
        }
        None
    }

    /// Whether a quote begins a literal. In a sentence an apostrophe follows a letter.
    fn is_opening(&self, at: usize) -> bool {
        let mut before = self.sql[..at].chars().rev();
        match before.next() {
            Some('e' | 'E' | 'b' | 'B' | 'x' | 'X' | 'n' | 'N') => {
                before.next().is_none_or(|c| !c.is_alphanumeric())
            }
            Some(c) if c.is_alphanumeric() => {
                let words = ["password", "identified by", "connection"];
                words
                    .iter()
                    .any(|word| at >= word.len() && super::begins(self.sql.as_bytes(), at - word.len(), word))
            }
            _ => true,
        }
    }

    fn has_escapes(&self, at: usize) -> bool {
        self.sql[..at].ends_with(['e', 'E'])
    }
}

/// Returns the length of the rows that follow a `COPY … FROM stdin`, which contain no
/// literals.
fn rows(statement: &str, rest: &str) -> usize {
    let statement = super::without_comments(statement);
    if !super::begins(statement.as_bytes(), 0, "copy") || !statement.to_ascii_lowercase().contains("stdin") {
        return 0;
    }
    let mut length = 0;
    let mut lines = rest.split_inclusive('\n').skip_while(|line| {
        length += line.len();
        line.trim_end_matches(['\n', '\r']) != "\\."
    });
    lines.next().map_or(0, |_| length)
}

/// Returns the length of a literal without its closing quote.
fn literal(text: &str, escapes: bool) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if escapes => at += 2,
            b'\'' if bytes.get(at + 1) == Some(&b'\'') => at += 2,
            b'\'' => return at,
            _ => at += 1,
        }
    }
    text.len()
}

/// Returns the lengths of the tag and of the text of a dollar-quoted string.
fn dollar(text: &str) -> Option<(usize, usize)> {
    let word = text[1..].find(|c: char| !(c.is_alphanumeric() || c == '_'))?;
    // Another character than a dollar sign may end the word, and be longer than a byte.
    let tag = text.get(..word + 2)?;
    if !tag.ends_with('$') || tag[1..].starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let length = text[tag.len()..].find(tag).unwrap_or(text.len() - tag.len());
    Some((tag.len(), length))
}
