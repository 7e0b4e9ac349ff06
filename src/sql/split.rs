//! Splits tokens into statements, directives, and commands of a shell.
//!
//! In: tokens. Out: pieces in order.
//!
//! A statement extends from its first token to its last, without the semicolon. It
//! includes inner semicolons: on PostgreSQL in `BEGIN ATOMIC … END` and in parentheses,
//! by the rules of psql; on SQLite in the body of a trigger, by the rules of
//! `sqlite3_complete`.

use super::copy;
use super::directive;
use super::lexer::{Token, TokenKind};
use super::lookalike::{self, Lookalike};
use super::syntax::{Semicolons, Shell, Syntax};

#[derive(Debug)]
pub(crate) enum Piece<'a> {
    Statement(Unit<'a>),
    /// A comment that is, or looks like, a directive.
    Directive {
        comment: Token,
        inside: Option<usize>,
    },
    /// A comment, or a line, that looks like an instruction, at a byte offset.
    Lookalike(usize, Lookalike),
    /// A line for psql or the sqlite3 shell, and the start of the statement that it
    /// interrupts.
    ShellCommand {
        at: usize,
        inside: Option<usize>,
    },
}

/// One statement: its tokens without white space and comments. The rows that follow a
/// `COPY … FROM stdin` belong to it.
#[derive(Debug)]
pub struct Unit<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    rows: Option<Token>,
}

impl<'a> Unit<'a> {
    pub(crate) fn start(&self) -> usize {
        self.tokens.first().map_or(0, |token| token.start)
    }

    pub(crate) fn end(&self) -> usize {
        self.tokens.last().map_or(0, |token| token.end)
    }

    pub(crate) fn sql(&self) -> &'a str {
        &self.text[self.start()..self.end()]
    }

    /// Returns the byte offsets at which the rows of COPY begin, and at which the line that
    /// ends them is over.
    pub(crate) fn rows_range(&self) -> Option<(usize, usize)> {
        self.rows.map(|rows| (rows.start, rows.end))
    }

    /// Returns whether the statement reads rows from the client.
    pub(crate) fn reads_rows(&self) -> bool {
        let mut watch = copy::Watch::default();
        for token in &self.tokens {
            watch.see(token.kind, &self.text[token.start..token.end]);
        }
        watch.is_open()
    }

    /// Returns whether something else than rows follows on the line of a
    /// `COPY … FROM stdin`.
    pub(crate) fn rows_are_misplaced(&self) -> bool {
        self.rows.is_some_and(|rows| !self.text[..rows.start].ends_with('\n'))
    }

    /// Returns the number of tokens.
    pub(crate) fn len(&self) -> usize {
        self.tokens.len()
    }

    pub(crate) fn kind(&self, n: usize) -> Option<TokenKind> {
        self.tokens.get(n).map(|token| token.kind)
    }

    pub(crate) fn token(&self, n: usize) -> &'a str {
        self.tokens.get(n).map_or("", |token| &self.text[token.start..token.end])
    }

    /// Returns whether the token is this keyword.
    pub(crate) fn is(&self, n: usize, keyword: &str) -> bool {
        self.kind(n) == Some(TokenKind::Word) && self.token(n).eq_ignore_ascii_case(keyword)
    }

    /// Returns whether the statement starts with these keywords; `|` separates alternatives.
    pub(crate) fn starts(&self, keywords: &str) -> bool {
        self.starts_at(0, keywords)
    }

    /// Returns whether these keywords begin at a token.
    pub(crate) fn starts_at(&self, at: usize, keywords: &str) -> bool {
        keywords
            .split(' ')
            .enumerate()
            .all(|(n, choices)| choices.split('|').any(|keyword| self.is(at + n, keyword)))
    }

    fn last_is(&self, back: usize, kind: TokenKind) -> bool {
        self.tokens.len().checked_sub(back).and_then(|n| self.kind(n)) == Some(kind)
    }
}

pub(crate) fn split<'a>(text: &'a str, tokens: &[Token], syntax: &Syntax) -> Vec<Piece<'a>> {
    let mut pieces = Vec::new();
    let mut unit = Unit { text, tokens: Vec::new(), rows: None };
    let mut nesting = Nesting::default();
    let mut skip_to = 0;
    let finish = |unit: &mut Unit<'a>, pieces: &mut Vec<Piece<'a>>| {
        let tokens = std::mem::take(&mut unit.tokens);
        if !tokens.is_empty() {
            pieces.push(Piece::Statement(Unit { text, tokens, rows: None }));
        }
        Nesting::default()
    };
    for token in tokens {
        if token.start < skip_to {
            continue;
        }
        if !is_directive(text, token) {
            let found = lookalike::in_token(text, token).into_iter();
            pieces.extend(found.map(|(at, what)| Piece::Lookalike(at, what)));
            if matches!(token.kind, TokenKind::Blank | TokenKind::LineComment) {
                continue;
            }
        }
        if token.kind == TokenKind::LineComment {
            let inside = unit.tokens.first().map(|first| first.start);
            pieces.push(Piece::Directive { comment: *token, inside });
        } else if token.kind == TokenKind::Rows && unit.tokens.is_empty() {
            let copy = pieces.iter_mut().rev().find_map(|piece| match piece {
                Piece::Statement(unit) => Some(unit),
                _ => None,
            });
            if let Some(copy) = copy {
                copy.rows = Some(*token);
            }
        } else if for_a_shell(token.kind, &unit, syntax) {
            // A shell command also ends a statement: `SELECT 1 \gset`.
            let inside = unit.tokens.first().map(|first| first.start);
            nesting = finish(&mut unit, &mut pieces);
            pieces.push(Piece::ShellCommand { at: token.start, inside });
            skip_to = text[token.start..].find('\n').map_or(text.len(), |at| token.start + at);
        } else if token.kind == TokenKind::Semicolon && nesting.ends_statement(&unit, syntax) {
            nesting = finish(&mut unit, &mut pieces);
        } else {
            unit.tokens.push(*token);
            nesting.enter(&unit);
        }
    }
    finish(&mut unit, &mut pieces);
    pieces
}

fn is_directive(text: &str, token: &Token) -> bool {
    token.kind == TokenKind::LineComment && directive::found_in(&text[token.start..token.end])
}

fn for_a_shell(kind: TokenKind, unit: &Unit<'_>, syntax: &Syntax) -> bool {
    match syntax.shell {
        Shell::Backslash => kind == TokenKind::Backslash,
        Shell::FullStop => kind == TokenKind::Period && unit.tokens.is_empty(),
    }
}

/// The parentheses and blocks that a statement has opened and not closed.
#[derive(Debug, Default)]
struct Nesting {
    parentheses: usize,
    /// The number of open blocks: `BEGIN ATOMIC`, and each `CASE` inside it.
    blocks: usize,
}

impl Nesting {
    /// Processes the last token of the unit.
    fn enter(&mut self, unit: &Unit<'_>) {
        let last = unit.len() - 1;
        match unit.kind(last) {
            Some(TokenKind::Open) => self.parentheses += 1,
            Some(TokenKind::Close) => self.parentheses = self.parentheses.saturating_sub(1),
            Some(TokenKind::Word) if self.parentheses == 0 && last > 0 => self.enter_word(unit, last),
            _ => {}
        }
    }

    fn enter_word(&mut self, unit: &Unit<'_>, last: usize) {
        let before = last - 1;
        if self.blocks == 0 {
            if unit.is(last, "ATOMIC") && unit.is(before, "BEGIN") && creates_routine(unit) {
                self.blocks = 1;
            }
        } else if unit.kind(before) == Some(TokenKind::Period) || unit.is(before, "AS") {
            // The word is the name or the label of a column.
        } else if unit.is(last, "CASE") {
            self.blocks += 1;
        } else if unit.is(last, "END") {
            self.blocks -= 1;
        }
    }

    /// Returns whether a semicolon after these tokens ends the statement.
    fn ends_statement(&self, unit: &Unit<'_>, syntax: &Syntax) -> bool {
        match syntax.semicolons {
            Semicolons::ParenthesesAndBlocks => self.parentheses == 0 && self.blocks == 0,
            Semicolons::Triggers if creates_trigger(unit) => {
                unit.is(unit.len().saturating_sub(1), "END") && unit.last_is(2, TokenKind::Semicolon)
            }
            Semicolons::Triggers => true,
        }
    }
}

fn creates_routine(unit: &Unit<'_>) -> bool {
    unit.starts("CREATE FUNCTION|PROCEDURE") || unit.starts("CREATE OR REPLACE FUNCTION|PROCEDURE")
}

fn creates_trigger(unit: &Unit<'_>) -> bool {
    unit.starts("CREATE TRIGGER") || unit.starts("CREATE TEMP|TEMPORARY TRIGGER")
}

#[cfg(test)]
mod tests {
    use super::super::lexer::lex;
    use super::*;
    use crate::engine::dialects::{POSTGRES, SQLITE};
    use crate::sql::Dialect;

    fn statements<'t>(text: &'t str, dialect: &dyn Dialect) -> Vec<&'t str> {
        let (tokens, unended) = lex(text, dialect.syntax());
        assert_eq!(unended, None, "{text}");
        (split(text, &tokens, dialect.syntax()).into_iter())
            .filter_map(|piece| match piece {
                Piece::Statement(unit) => Some(unit.sql()),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn semicolons_end_statements() {
        for engine in [POSTGRES, SQLITE] {
            for (text, expected) in [
                ("", vec![]),
                ("-- nothing\n/* at all */ ;;\n;", vec![]),
                ("a", vec!["a"]),
                ("-- c\n a ;\n\n/* c */b -- c\n c;;d", vec!["a", "b -- c\n c", "d"]),
                ("a 'x;y' \"x;y\" /* ; */ -- ;\n;\r\nb", vec!["a 'x;y' \"x;y\"", "b"]),
                ("SELECT 'a\\'; b", vec!["SELECT 'a\\'", "b"]),
                ("a;\rb", vec!["a", "b"]),
                ("é; ü🦀 😀; ' 🦀;'", vec!["é", "ü🦀 😀", "' 🦀;'"]),
                ("SELECT 1_000, 1.5e-3, .5, 0x1F; b", vec!["SELECT 1_000, 1.5e-3, .5, 0x1F", "b"]),
            ] {
                assert_eq!(statements(text, engine), expected, "{engine} {text:?}");
            }
        }
    }

    #[test]
    fn postgresqls_quotes_and_operators() {
        for text in [
            "SELECT $1, $2",
            "SELECT $$;$$, $a$ $$;$$ ' $a$, $é_1$;$é_1$, $$$$",
            r"SELECT E'\';', e'a''b\\', 'a\', U&'\0061;', U&\'d!0061;' UESCAPE '!', B'01', X'1F', N';'",
            "SELECT a$b$c, été$1 FROM x",
            "SELECT a @> b, a ?| b, a ?& b, a ? b, a #>> '{a}', a #- b, a <-> b, a && b, a ~* b, a !~~ b, -|- 1",
            "SELECT f(a := 1), b => 2, c::text, a[1:2], @ -5, |/ 4, 5 !",
            "/* a; /* b; */ c; */ SELECT 1".strip_prefix("/* a; /* b; */ c; */ ").expect("it is there"),
            "CREATE RULE r AS ON INSERT TO a DO ALSO (INSERT INTO b VALUES (1); DELETE FROM c)",
            "DO $do$ BEGIN PERFORM 1; EXCEPTION WHEN others THEN NULL; END $do$",
        ] {
            let text = text.replace(r"\'d!", "'d!");
            let twice = format!("/* a; /* b; */ c; */ {text};\n{text}");
            assert_eq!(statements(&twice, POSTGRES), [&text, &text]);
        }
    }

    #[test]
    fn bodies_of_sql_functions() {
        for text in [
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END",
            "create or replace procedure p() begin atomic insert into a select case when b then 1 else 2 end; end",
            "CREATE FUNCTION f(a int = (1)) RETURNS int BEGIN ATOMIC SELECT CASE 1 WHEN 1 THEN CASE 2 WHEN 2 \
             THEN 3 END END AS end; SELECT a.end; SELECT (CASE WHEN a THEN b END); END",
        ] {
            let twice = format!("{text};{text};");
            assert_eq!(statements(&twice, POSTGRES), [text, text]);
        }
        assert_eq!(statements("SELECT begin atomic; SELECT 2", POSTGRES).len(), 2);
        assert_eq!(statements("CREATE FUNCTION begin() RETURNS int RETURN 1; SELECT 2", POSTGRES).len(), 2);
    }

    #[test]
    fn bodies_of_triggers() {
        for text in [
            "CREATE TRIGGER t AFTER UPDATE ON a BEGIN UPDATE b SET c = 1; DELETE FROM d; END",
            "create temp trigger t before insert on a begin select case when 1 then 2 end; end",
            "CREATE TEMPORARY TRIGGER IF NOT EXISTS t DELETE ON a WHEN CASE 1 WHEN 1 THEN 1 END BEGIN SELECT 1; END",
        ] {
            let twice = format!("{text};\n{text}");
            assert_eq!(statements(&twice, SQLITE), [text, text]);
        }
        assert_eq!(statements("CREATE TABLE \"trigger\" (a); SELECT [a;b], `;`", SQLITE).len(), 2);
    }

    #[test]
    fn lines_for_a_shell() {
        let text = "\\connect it's\nSELECT 1; \\echo x\n";
        let pieces =
            split(text, &lex("\\connect its \nSELECT 1; \\echo x\n", POSTGRES.syntax()).0, POSTGRES.syntax());
        assert!(matches!(
            pieces[..],
            [
                Piece::ShellCommand { at: 0, inside: None },
                Piece::Statement(_),
                Piece::ShellCommand { at: 24, inside: None }
            ]
        ));
        let text = ".read a.sql\nSELECT 1";
        let pieces = split(text, &lex(text, SQLITE.syntax()).0, SQLITE.syntax());
        assert!(matches!(pieces[..], [Piece::ShellCommand { at: 0, .. }, Piece::Statement(_)]));
    }
}
