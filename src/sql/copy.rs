//! `COPY … FROM stdin`, and the rows that follow it in a script.
//!
//! In: tokens, and the text behind the semicolon. Out: the tokens of the rows.
//!
//! The rules are those of psql: the rows begin on the line after the semicolon, and end with
//! a line that contains only `\\.`. Rows are data. Nothing in them is SQL, a directive or a
//! marker.

use super::scan::Unended;
use super::token::{Token, TokenKind};

/// What is unterminated if the line that ends the rows is missing.
pub(crate) const ROWS: &str = "the rows of COPY";

/// The line that ends the rows.
const END: &str = "\\.";

/// Notices, token by token, whether a statement reads rows from the client.
#[derive(Debug, Default)]
pub(super) struct Watch {
    state: State,
    depth: usize,
    after_from: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Start,
    Copy,
    FromStdin,
    /// A command of the shell, which ends with its line.
    Shell,
    Other,
}

impl Watch {
    /// Processes the next token. Returns whether rows follow it.
    pub(super) fn see(&mut self, kind: TokenKind, token: &str) -> bool {
        match kind {
            _ if self.state == State::Shell => {
                if token.contains('\n') {
                    *self = Watch::default();
                }
                return false;
            }
            TokenKind::Blank | TokenKind::LineComment => return false,
            TokenKind::Semicolon if self.depth == 0 => {
                return std::mem::take(self).state == State::FromStdin;
            }
            // A command of the shell ends the statement.
            TokenKind::Backslash => {
                *self = Watch { state: State::Shell, ..Watch::default() };
                return false;
            }
            TokenKind::Open => self.depth += 1,
            TokenKind::Close => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        let is = |keyword: &str| kind == TokenKind::Word && token.eq_ignore_ascii_case(keyword);
        self.state = match self.state {
            State::Start if is("COPY") => State::Copy,
            State::Copy if self.depth == 0 && self.after_from && is("STDIN") => State::FromStdin,
            State::Start => State::Other,
            state => state,
        };
        self.after_from = self.depth == 0 && is("FROM");
        false
    }

    /// Returns whether the text has ended within such a statement.
    pub(super) fn is_open(&self) -> bool {
        self.state == State::FromStdin
    }
}

/// What follows the semicolon of such a statement.
pub(super) enum Rows {
    /// The rest of the line, and the rows.
    Found(Vec<Token>),
    /// The rows begin at this offset, and do not end.
    Unended(usize),
}

pub(super) fn unended(start: usize) -> Unended {
    Unended { what: ROWS.to_owned(), start }
}

/// Finds the rows behind the semicolon that ends at `at`. If something else than a comment
/// is on the same line, the token of the rows includes it.
pub(super) fn rows(text: &str, at: usize) -> Rows {
    let Some(first) = text[at..].find('\n').map(|length| at + length + 1) else { return Rows::Unended(at) };
    let Some(end) = end(text, first) else { return Rows::Unended(at) };
    let line = &text[at..first];
    let comment = at + line.len() - line.trim_start().len();
    let mut tokens = Vec::new();
    let mut start = at;
    let mut push = |kind, to: usize| {
        if to > start {
            tokens.push(Token { kind, start, end: to });
            start = to;
        }
    };
    if comment >= first {
        push(TokenKind::Blank, first);
    } else if text[comment..].starts_with("--") {
        push(TokenKind::Blank, comment);
        push(TokenKind::LineComment, first);
    }
    push(TokenKind::Rows, end);
    Rows::Found(tokens)
}

/// Returns the end of the rows that begin at this offset, behind the line that ends them.
fn end(text: &str, first: usize) -> Option<usize> {
    let mut at = first;
    text[first..].split_inclusive('\n').find_map(|line| {
        at += line.len();
        is_end(line).then_some(at)
    })
}

fn is_end(line: &str) -> bool {
    let line = line.strip_suffix('\n').unwrap_or(line);
    line.strip_suffix('\r').unwrap_or(line) == END
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::dialects::{POSTGRES, SQLITE};
    use crate::sql::lexer::lex;
    use crate::sql::split::{Piece, split};

    /// Returns the statements of a text, with their rows.
    fn statements(text: &str) -> Vec<(String, Option<String>)> {
        let mut both = [POSTGRES, SQLITE].map(|engine| {
            let (tokens, unended) = lex(text, engine.syntax());
            assert_eq!(unended, None, "{text:?}");
            let end = tokens.iter().fold(0, |end, token| {
                assert_eq!(token.start, end, "{text:?}");
                token.end
            });
            assert_eq!(end, text.len(), "{text:?}");
            let units = split(text, &tokens, engine.syntax()).into_iter().filter_map(|piece| match piece {
                Piece::Statement(unit) => Some((
                    unit.sql().to_owned(),
                    unit.rows_range().map(|(start, end)| {
                        let rows = text[start..end].trim_end_matches(['\n', '\r']);
                        rows.strip_suffix(END).expect("it ends").to_owned()
                    }),
                )),
                _ => None,
            });
            units.collect::<Vec<_>>()
        });
        assert_eq!(both[0], both[1], "{text:?}");
        std::mem::take(&mut both[0])
    }

    #[test]
    fn rows_are_one_token_whatever_they_contain() {
        for row in [
            "",
            "1\tit's",
            "$$",
            "/*",
            "\"",
            "-- bustard: down",
            "COMMIT;",
            "\\N\t\\\\.",
            "\\. ",
            " \\.",
            "\\.x",
            "E'\\",
            "(",
            "COPY b FROM stdin;",
            "\\restrict x",
            "# --- !Downs",
            "-- +goose Down",
            "\u{feff}\u{2028}é🦀",
            "\r",
            "BEGIN ATOMIC",
        ] {
            for end in ["\n", "\r\n"] {
                for statement in [
                    "COPY a FROM stdin",
                    "copy a(b, \"c;\") from STDIN with (format csv, delimiter ';')",
                    "/* ; */ COPY public.\"FROM stdin\" FROM -- ;\n stdin CSV",
                    "COPY BINARY a FROM STDIN WHERE (b IN (1, 2))",
                ] {
                    for rest in ["", "  ", "-- it's", " -- ;", "\t"] {
                        let rows = format!("{row}{end}").repeat(2);
                        let text = format!("SELECT 1;{statement};{rest}{end}{rows}\\.{end}SELECT 'a;';");
                        let found = statements(&text);
                        let sql = statement.trim_start_matches("/* ; */ ");
                        assert_eq!(found.len(), 3, "{text:?}: {found:?}");
                        assert_eq!(found[1], (sql.to_owned(), Some(rows)), "{text:?}");
                        assert_eq!(found[2].0, "SELECT 'a;'");
                    }
                }
            }
        }
        let text = format!("COPY a FROM stdin;\n{}\\.", "it's\n".repeat(40_000));
        assert_eq!(statements(&text)[0].1.as_ref().map(String::len), Some(200_000));
        assert_eq!(
            statements("COPY a FROM stdin;\n\\.\n"),
            [("COPY a FROM stdin".into(), Some(String::new()))]
        );
    }

    #[test]
    fn other_statements_have_no_rows() {
        for text in [
            "COPY a FROM '/stdin'; SELECT 1",
            "COPY (SELECT 1 FROM stdin) TO '/x';\n",
            "COPY stdin FROM PROGRAM 'x';",
            "SELECT copy FROM stdin;",
            "COPY a FROM \"stdin\";",
            "SELECT 'COPY a FROM stdin;\n'",
            "CREATE RULE r AS ON INSERT TO a DO ALSO (SELECT 1; COPY a FROM stdin; SELECT 2)",
            "\\COPY a FROM stdin;\n\n\\.\n",
            "SELECT 1 \\g COPY a FROM stdin;\n\n\\.\n",
        ] {
            let (tokens, unended) = lex(text, POSTGRES.syntax());
            assert_eq!(unended, None, "{text}");
            assert!(tokens.iter().all(|token| token.kind != TokenKind::Rows), "{text}");
        }
    }

    /// COPY is not valid there, so the server refuses the statement as it is.
    #[test]
    fn rows_inside_another_statement_belong_to_it() {
        let text = "SELECT 1; CREATE FUNCTION f() RETURNS int BEGIN ATOMIC; COPY a FROM stdin;\n1\n\\.\nEND; SELECT 2";
        let pieces = split(text, &lex(text, POSTGRES.syntax()).0, POSTGRES.syntax());
        let statements: Vec<_> = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Statement(unit) => (unit.sql(), unit.rows_range()),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(statements[0], ("SELECT 1", None));
        assert!(statements[1].0.ends_with("\n1\n\\.\nEND") && statements[1].1.is_none(), "{statements:?}");
        assert_eq!(statements.len(), 3, "{statements:?}");
    }

    #[test]
    fn rows_without_an_end() {
        for (text, start) in [
            ("COPY a FROM stdin;\n1\n", 18),
            ("COPY a FROM stdin; ", 18),
            ("COPY a FROM stdin;\n1\\.\n\\. \n", 18),
            ("COPY a FROM stdin", 17),
            ("SELECT 1; COPY a FROM stdin\n--\n", 31),
        ] {
            assert_eq!(lex(text, POSTGRES.syntax()).1, Some(unended(start)), "{text:?}");
        }
    }
}
