//! Splits SQL text into tokens.
//!
//! In: text. Out: tokens with their byte ranges, and the unterminated string, name or
//! comment at the end, if there is one.
//!
//! The tokenizer is sqlparser's. This module corrects the tokenizer where it differs from
//! the database. An operator ends before a comment (`||--`). Tokens that the tokenizer
//! rejects but the server accepts (`E'\377'`, `(r)._x`) are read by [`scan`]. The rows that
//! follow `COPY … FROM stdin;` are one token, whatever they contain. The only remaining error
//! is an unterminated token.

use sqlparser::tokenizer::{Location, Token as Theirs, Tokenizer, Whitespace};

use super::copy::{self, Rows};
use super::scan::{Unended, escaped, quoted, scan};
use super::syntax::Syntax;
pub(crate) use super::token::{Token, TokenKind};

/// The tokenizer gets this many bytes at a time, so that restarting it is cheap even for
/// a long text.
const WINDOW: usize = 1 << 16;

/// The length of a window after rows. The rows of the next table are often near, and what is
/// read of them is read in vain.
const AFTER_ROWS: usize = 1 << 12;

/// Tokens that end this close to the end of a window are not trusted, because the cut may
/// have changed them.
const MARGIN: usize = 16;

/// Returns the tokens, which cover the whole text. If a token is unterminated, returns the
/// tokens before it.
pub(crate) fn lex(text: &str, syntax: &Syntax) -> (Vec<Token>, Option<Unended>) {
    let dialect = (syntax.tokenizer)();
    let mut tokens = Vec::new();
    let mut copies = copy::Watch::default();
    let (mut at, mut window) = (0, WINDOW);
    'windows: while at < text.len() {
        let part = &text[at..text.floor_char_boundary(at.saturating_add(window))];
        let sure = if at + part.len() == text.len() { part.len() } else { part.len().saturating_sub(MARGIN) };
        let mut found = Vec::new();
        let result =
            Tokenizer::new(dialect, part).with_unescape(false).tokenize_with_location_into_buf(&mut found);

        let mut cursor = Cursor::new(part);
        let mut cut = false;
        for theirs in found {
            let start = cursor.offset;
            cursor.advance(theirs.span.end);
            let kind = kind(&theirs.token);
            let too_far =
                if kind == TokenKind::Other { goes_too_far(part, start, cursor.offset) } else { None };
            let end = too_far.unwrap_or(cursor.offset);
            if end > sure {
                cursor.offset = start;
                cut = true;
                break;
            }
            if kind == TokenKind::Other && opens_escaped(part, start, syntax) {
                // The tokenizer does not know that such a string goes on on a later line.
                match escaped(&text[at + start..]) {
                    Ok(length) if length > end - start => {
                        tokens.push(Token { kind, start: at + start, end: at + start + length });
                        at += start + length;
                        window = WINDOW;
                        continue 'windows;
                    }
                    Ok(_) => {}
                    Err(what) => return (tokens, Some(Unended { what, start: at + start })),
                }
            }
            tokens.push(Token { kind, start: at + start, end: at + end });
            if copies.see(kind, &part[start..end]) {
                match copy::rows(text, at + end) {
                    Rows::Found(found) => {
                        at = found.last().map_or(at + end, |token| token.end);
                        tokens.extend(found);
                        window = AFTER_ROWS;
                        continue 'windows;
                    }
                    Rows::Unended(start) => return (tokens, Some(copy::unended(start))),
                }
            }
            if too_far.is_some() {
                cursor.offset = end;
                cut = true;
                break;
            }
        }
        let done = cursor.offset;
        at += done;
        if cut {
            window = if done == 0 { window.saturating_mul(2) } else { WINDOW };
        } else if result.is_err() {
            match scan(&text[at..], syntax) {
                Ok(length) => {
                    let kind = if text[at..].starts_with("/*") { TokenKind::Blank } else { TokenKind::Other };
                    tokens.push(Token { kind, start: at, end: at + length });
                    at += length;
                }
                Err(what) => return (tokens, Some(Unended { what, start: at })),
            }
        }
    }
    let unended = copies.is_open().then(|| copy::unended(text.len()));
    (tokens, unended)
}

fn kind(token: &Theirs) -> TokenKind {
    match token {
        Theirs::Whitespace(Whitespace::SingleLineComment { .. }) => TokenKind::LineComment,
        Theirs::Whitespace(_) => TokenKind::Blank,
        Theirs::Word(word) if word.quote_style.is_none() => TokenKind::Word,
        Theirs::SemiColon => TokenKind::Semicolon,
        Theirs::LParen => TokenKind::Open,
        Theirs::RParen => TokenKind::Close,
        Theirs::Period => TokenKind::Period,
        Theirs::Backslash => TokenKind::Backslash,
        _ => TokenKind::Other,
    }
}

fn opens_escaped(text: &str, start: usize, syntax: &Syntax) -> bool {
    let bytes = text.as_bytes();
    syntax.escaped_strings && matches!(bytes.get(start..start + 2), Some(b"e'" | b"E'"))
}

/// Returns the correct end of a token that the tokenizer has made too long: an operator
/// ends before a comment, and a backslash is no escape in `x'…'`.
fn goes_too_far(text: &str, start: usize, end: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    match bytes.get(start)? {
        b'x' | b'X' => {
            quoted(&text[start..], 1, "a string").ok().map(|length| start + length).filter(|at| *at < end)
        }
        first if b"+-*/<>=~!@#%^&|?:".contains(first) => {
            (start + 1..end).find(|at| matches!(bytes.get(*at..at + 2), Some(b"--" | b"/*")))
        }
        _ => None,
    }
}

/// Converts the tokenizer's lines and columns to byte offsets, moving forward only.
struct Cursor<'a> {
    text: &'a str,
    offset: usize,
    at: Location,
}

impl<'a> Cursor<'a> {
    fn new(text: &'a str) -> Self {
        Cursor { text, offset: 0, at: Location { line: 1, column: 1 } }
    }

    fn advance(&mut self, to: Location) {
        for c in self.text[self.offset..].chars() {
            if self.at >= to {
                return;
            }
            self.offset += c.len_utf8();
            if c == '\n' {
                self.at = Location { line: self.at.line + 1, column: 1 };
            } else {
                self.at.column += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::dialects::{POSTGRES, SQLITE};
    use crate::sql::Dialect;

    fn texts<'t>(text: &'t str, dialect: &dyn Dialect) -> Vec<(TokenKind, &'t str)> {
        let (tokens, unended) = lex(text, dialect.syntax());
        assert_eq!(unended, None, "{text}");
        (tokens.into_iter().filter(|t| t.kind != TokenKind::Blank).map(|t| (t.kind, &text[t.start..t.end])))
            .collect()
    }

    #[test]
    fn comments_take_precedence_over_operators() {
        for text in ["a ||-- it's\nb", "a ->>--it's\nb", "a #-- it's\nb", "a >--it's\nb"] {
            for engine in [POSTGRES, SQLITE] {
                let comments = texts(text, engine)
                    .into_iter()
                    .filter(|(kind, _)| *kind == TokenKind::LineComment)
                    .count();
                assert_eq!(comments, 1, "{text}");
            }
        }
        for text in ["a ||/* it's */ b", "a |/* it's */ b", "a @/* /* it's */ */ b"] {
            assert_eq!(texts(text, POSTGRES).len(), 3, "{text}");
        }
    }

    #[test]
    fn tokens_that_the_tokenizer_rejects_are_read() {
        for (text, expected) in [
            (r"E'\377;\'' x", r"E'\377;\''"),
            (r"E'\uD83D\uDE00' x", r"E'\uD83D\uDE00'"),
            (r"U&'d!0061\z' x", r"U&'d!0061\z'"),
        ] {
            assert_eq!(texts(text, POSTGRES), [(TokenKind::Other, expected), (TokenKind::Word, "x")]);
        }
        for text in ["(r)._x", "a |& b", "1_ x", "a ._b"] {
            texts(text, POSTGRES);
        }
        assert_eq!(texts("a /* open", SQLITE), [(TokenKind::Word, "a")]);
    }

    #[test]
    fn escaped_strings_go_on_on_a_later_line() {
        for (text, expected) in [
            (r"E'it'@'\'s; a' x", r"E'it'@'\'s; a'"),
            (r"e'it' @  '\'s; a' x", r"e'it' @  '\'s; a'"),
            (r"E'it'@@'\''@'\';' x", r"E'it'@@'\''@'\';'"),
            (r"E'it' -- it's;@'\';' x", r"E'it' -- it's;@'\';'"),
            (r"E'it'--;@ -- '@  '\';' x", r"E'it'--;@ -- '@  '\';'"),
            (r"E''@'\';' x", r"E''@'\';'"),
        ] {
            for end in ["\n", "\r\n", "\r"] {
                let (text, expected) = (text.replace('@', end), expected.replace('@', end));
                let tokens = texts(&text, POSTGRES);
                assert_eq!(tokens[0], (TokenKind::Other, expected.as_str()), "{text:?}");
                assert_eq!(tokens.len(), 2, "{text:?}");
            }
        }
        // No line end, a block comment, and strings of other kinds.
        for text in [r"E'it' '\' x", "E'it' /*\n*/ '\\' x", "'it'\n'\\' x", "U&'it'\n'\\' x", "N'it'\n'\\' x"]
        {
            assert_eq!(texts(text, POSTGRES).last(), Some(&(TokenKind::Word, "x")), "{text:?}");
        }
        assert!(lex("E'it'\n'\\'", POSTGRES.syntax()).1.is_some());
        for length in [WINDOW - 8, WINDOW - 1, WINDOW + 1] {
            let text = format!("{};E'a'\n'\\';' x", "a".repeat(length));
            assert_eq!(texts(&text, POSTGRES).len(), 4);
        }
    }

    #[test]
    fn tokens_longer_than_a_window_stay_whole() {
        for engine in [POSTGRES, SQLITE] {
            for (open, close) in [("'", "'"), ("-- ", "\n"), ("/*", "*/"), ("\"", "\""), ("a", " ")] {
                for length in [WINDOW - 20, WINDOW - 2, WINDOW - 1, WINDOW, 3 * WINDOW] {
                    let text = format!("{open}{}{close};é", "ü".repeat(length / 2));
                    let (tokens, unended) = lex(&text, engine.syntax());
                    assert_eq!(unended, None);
                    assert_eq!(
                        tokens[0].end,
                        text.trim_end_matches("é").trim_end_matches([';', '\n', ' ']).len()
                    );
                    assert_eq!(tokens.last().map(|t| t.end), Some(text.len()));
                }
            }
        }
    }

    #[test]
    fn unterminated_tokens() {
        for (text, what, start) in [
            ("SELECT 'a;\n", "a string", 7),
            (r"SELECT E'a\';", "a string", 7),
            ("SELECT \"a;", "a quoted name", 7),
            ("SELECT $a$ ; $b$", "a dollar-quoted string ($a$)", 7),
            ("SELECT $$ ; $", "a dollar-quoted string ($$)", 7),
            ("SELECT 1 /* /* */", "a block comment", 9),
        ] {
            assert_eq!(lex(text, POSTGRES.syntax()).1, Some(Unended { what: what.into(), start }), "{text}");
        }
        assert!(lex("SELECT [a", SQLITE.syntax()).1.is_some());
    }
}
