//! Tests of parsing whole files. The parts have tests of their own.
//!
//! In: texts. Out: migrations and diagnostics.

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::engine::dialects::{POSTGRES, SQLITE};
use crate::model::Which;
use crate::sql::{lexer, split};

fn read(text: &str, dialect: &'static dyn Dialect) -> Reading {
    parse(&Text::new(Path::new("a.sql"), text), dialect, Directives::Obeyed)
}

fn operations(operations: &[Operation]) -> Vec<String> {
    let lines = operations.iter().map(|operation| match operation {
        Operation::Sql(sql) => sql.statements().iter().map(|s| s.sql.clone()).collect::<Vec<_>>().join(" | "),
        other => other.describe(POSTGRES),
    });
    lines.collect()
}

fn only_error(text: &str, dialect: &'static dyn Dialect) -> String {
    let parsed = read(text, dialect);
    assert_eq!(parsed.errors.len(), 1, "{text}: {:#?}", parsed.errors);
    parsed.errors[0].diagnostic.report().to_string()
}

#[test]
fn operations_are_in_the_order_of_the_file() {
    let parsed = read(
        "\u{feff}-- A comment.\n-- bustard: depends on forum V1\n-- bustard: register cache bans\nCREATE TABLE ban \
         (id int);\nCREATE TABLE b (id int); -- done\n-- bustard: unregister cache \"old ones\"\nSELECT 1;\n\n\
         -- bustard: down\nDROP TABLE ban;\n-- bustard: register cache other\nDROP TABLE b\n",
        POSTGRES,
    );
    assert_eq!(parsed.errors, []);
    assert_eq!(parsed.warnings, []);
    assert_eq!(
        operations(&parsed.migration.operations),
        [
            "register cache bans",
            "CREATE TABLE ban (id int) | CREATE TABLE b (id int)",
            "unregister cache old ones",
            "SELECT 1"
        ]
    );
    let down = parsed.migration.down.expect("there is a down part");
    assert_eq!(operations(&down), ["DROP TABLE ban", "register cache other", "DROP TABLE b"]);
    let dependency = &parsed.migration.depends_on[0];
    assert_eq!((dependency.app.as_str(), &dependency.which), ("forum", &Which::Version(1)));
    assert_eq!(dependency.place.as_ref().and_then(Place::line), Some(2));
}

#[test]
fn directives_in_quotes_are_text() {
    for text in [
        "SELECT '\n-- bustard: down\n';",
        "SELECT $$\n-- bustard: nonsense\n$$;",
        "SELECT $a$\n-- bustard: nonsense\n$a$;",
        "SELECT \"\n-- bustard: nonsense\n\";",
        "SELECT E'\\'\n-- bustard: nonsense\n';",
    ] {
        let parsed = read(text, POSTGRES);
        assert_eq!((parsed.errors.len(), parsed.migration.operations.len()), (0, 1), "{text}");
    }
}

#[test]
fn misplaced_directives_are_errors() {
    for (text, message) in [
        ("/*\n-- bustard: down\n*/ SELECT 1;", "looks like a directive and is none\n  --> a.sql:2:4"),
        ("/* /* */\n-- bustard: down\n*/ SELECT 1;", "looks like a directive and is none\n  --> a.sql:2:4"),
        ("  -- bustard: down\nSELECT 1;", "at the start of a line"),
        ("SELECT 1; -- bustard: down\n", "at the start of a line"),
        ("SELECT 1\n-- bustard: down\n;", "inside a statement\n  --> a.sql:2:1"),
        ("-- bustard: down\n-- bustard: down\n", "`down` is there twice\n  --> a.sql:2:1"),
        ("-- bustard: down\n-- bustard: depends on forum\n", "cannot be reverted\n  --> a.sql:2:1"),
        ("-- bustard: no transaction\nVACUUM;", "`no transaction` is not supported yet"),
        (
            "-- bustard: register cach x\r\nSELECT 1;",
            "--> a.sql:1:13\n   |\n 1 | -- bustard: register cach x\n",
        ),
    ] {
        let diagnostic = only_error(text, POSTGRES);
        assert!(diagnostic.contains(message), "{text}: {diagnostic}");
    }
    assert!(only_error("-- bustard: down\rSELECT 1;\r", SQLITE).contains("carriage return"));
    assert_eq!(read("-- c\r-- bustard: register cache a\rSELECT 1", POSTGRES).migration.operations.len(), 2);
    let text = "CREATE TRIGGER t DELETE ON a BEGIN\n-- bustard: down\nSELECT 1; END;";
    assert!(only_error(text, SQLITE).contains("inside a statement"));
}

#[test]
fn sql_that_does_not_end() {
    for text in ["SELECT 1;\nSELECT 'it;\n-- bustard: down\n", "SELECT 1;\nSELECT 'a"] {
        let diagnostic = only_error(text, POSTGRES);
        assert!(diagnostic.starts_with("the SQL ends inside a string\n  --> a.sql:2:8\n"), "{diagnostic}");
    }
}

#[test]
fn shell_commands_are_refused() {
    let copy = "SELECT 1;\nCOPY a FROM stdin;\n1\tit's\n\\.\n\nCOMMIT;";
    assert!(only_error(copy, POSTGRES).contains("a.sql:6:1"));
    let copy = "SELECT 1;\nCOPY a FROM stdin;\n1\tit's\n\\.\n\nSELECT 'it''s';";
    assert!(only_error(copy, SQLITE).contains("a.sql:2:1"));
    assert_eq!(read(copy, POSTGRES).errors, []);
    let open = only_error("COPY a FROM stdin;\n1\n", POSTGRES);
    assert!(open.starts_with("the SQL ends inside the rows of COPY\n  --> a.sql:1:19\n"), "{open}");
    for text in
        ["\\restrict", "\\restrict a b", "SELECT 1 \\restrict a\n;", "\\unrestricted a", "\\connect a"]
    {
        assert!(only_error(text, POSTGRES).contains("is a command of psql"), "{text}");
    }
    assert_eq!(read("\\restrict a9Z\r\nSELECT 1;\n\\unrestrict a9Z", POSTGRES).errors, []);
    let parsed = read("\\connect it's\nBEGIN;\n", POSTGRES);
    assert_eq!(parsed.errors[0].diagnostic.message(), "`\\connect` is a command of psql, not SQL");
    assert!(
        only_error(".read a.sql\nSELECT 1;", SQLITE).contains("`.read` is a command of the sqlite3 shell")
    );
    assert!(only_error("SELECT 1;\0", POSTGRES).contains("zero byte"));
    let help = only_error("CREATE INDEX CONCURRENTLY a ON b (c)", POSTGRES);
    assert!(help.contains("no transaction"), "{help}");
}

#[test]
fn every_diagnostic_of_a_file_is_reported() {
    let parsed =
        read("-- bustard: downn\nBEGIN READ ONLY;\n-- bustard: register cache\nCOMMIT;\nSELECT $$", POSTGRES);
    let lines: Vec<_> = parsed.errors.iter().map(|p| p.diagnostic.place().and_then(Place::line)).collect();
    assert_eq!(lines, [Some(1), Some(2), Some(3), Some(4), Some(5)]);
}

#[test]
fn warnings() {
    for text in ["", "-- nothing\n;;", "-- bustard: depends on a\n"] {
        assert!(read(text, SQLITE).warnings[0].message().contains("does nothing"), "{text}");
    }
    let parsed = read("PRAGMA foreign_keys=OFF;\nSELECT 1;", SQLITE);
    assert_eq!(operations(&parsed.migration.operations), ["SELECT 1"]);
    assert!(parsed.warnings[0].message().contains("left out"));
}

#[test]
fn kind8_a_file_that_changes_how_text_is_read() {
    let text = "SELECT 1;\n  SET standard_conforming_strings = off;\nSELECT 'it\\'s; x';\n";
    let parsed = read(text, POSTGRES);
    // The string of the last line seems to be open, but only because it is misread.
    let [error] = &parsed.errors[..] else { panic!("{:?}", parsed.errors) };
    assert_eq!(error.diagnostic.code(), Code::TextSetting);
    let place = error.diagnostic.place().expect("it has a place");
    assert_eq!((place.line(), place.column()), (Some(2), Some(3)));
    // It is no setting of SQLite.
    assert_eq!(read("SELECT set_config('client_encoding', 'LATIN1', false)", SQLITE).errors, []);
}

#[test]
fn directives_in_code_are_refused() {
    let text = Text::new(Path::new("a V1__b (built in code)"), "-- bustard: down\nSELECT 1");
    let parsed = parse(&text, POSTGRES, Directives::Misplaced);
    assert!(parsed.errors[0].diagnostic.report().to_string().contains("built in code):1:1"));
}

const FRAGMENTS: &[&str] = &[
    "SELECT 1",
    "a",
    "'it''s; '",
    "\"q;\"\"x\"",
    ";",
    ";\n",
    "\n",
    "\r\n",
    "\r",
    " ",
    "-- c; 'x\n",
    "/* ; */",
    "/* /* ; */ */",
    "$$ ; $$",
    "$a$ ; $$ $a$",
    "E'\\';'",
    "E'\\377'",
    "U&'\\0061'",
    "B'0'",
    "x'1F'",
    "(",
    ")",
    "BEGIN ATOMIC",
    "END",
    "CASE",
    "CREATE FUNCTION f()",
    "CREATE TRIGGER t",
    "BEGIN",
    "||",
    "--",
    "/*",
    "->>",
    "@>",
    "?|",
    "#>>",
    ":=",
    "::",
    "$1",
    "1_000 ",
    "1.",
    ".5",
    "._x",
    "1e5 ",
    "0x1F ",
    "é",
    "🦀",
    "\u{301}",
    "a$b",
    "[x;y]",
    "`x;y`",
    "\\",
    "\\d\n",
    "{",
    "}",
    "|&",
    "@-",
    "<|",
    "\n-- bustard: register cache a\n",
    "\n-- bustard: down\n",
    "-- bustard: x\n",
    "COPY a FROM stdin;\n",
    "\n\\.\n",
    "'",
    "\"",
    "$x$",
    "$",
    "PRAGMA foreign_keys=1",
    "\u{feff}",
    "\u{a0}",
    "\t",
    "#-",
    "U&",
    "e",
    "N'x'",
    "!",
    "~",
    "^@",
];

/// Returns the positions of semicolons outside of quotes and comments, in a text that ends
/// outside of them.
fn semicolons(text: &str, dialect: &'static dyn Dialect) -> Vec<usize> {
    let syntax = dialect.syntax();
    let word =
        |c: char| c.is_alphanumeric() || c == '_' || !c.is_ascii() || (c == '$' && syntax.escaped_strings);
    let line_end = |c| c == '\n' || (c == '\r' && syntax.escaped_strings);
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let quoted = crate::sql::scan::scan(rest, syntax).unwrap_or(rest.len());
        at += if quoted > c.len_utf8() {
            quoted
        } else if rest.starts_with("--") {
            rest.find(line_end).unwrap_or(rest.len())
        } else if c.is_ascii_digit() {
            let number = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '_');
            rest[..rest.len() - number.len()].trim_end_matches('_').len()
        } else if c == '$' {
            // A parameter such as `$1`.
            1 + rest[1..].find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len() - 1)
        } else if word(c) {
            rest.find(|c| !word(c)).unwrap_or(rest.len())
        } else {
            if c == ';' {
                found.push(at);
            }
            c.len_utf8()
        };
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn every_statement_has_the_place_of_its_text(
        parts in prop::collection::vec(prop::sample::select(FRAGMENTS), 0..24),
        dialect in prop::sample::select(vec![POSTGRES, SQLITE]),
    ) {
        let text: String = parts.concat();
        let (tokens, unended) = lexer::lex(&text, dialect.syntax());

        // The tokens cover the whole text.
        let mut end = 0;
        for token in &tokens {
            prop_assert_eq!(token.start, end);
            prop_assert!(token.end > token.start);
            end = token.end;
        }
        prop_assert_eq!(end, unended.as_ref().map_or(text.len(), |unended| unended.start));

        // An independent, simpler reader finds the same quoted parts, except in the rows of
        // COPY.
        let mut plain = text.as_bytes()[..end].to_vec();
        for rows in tokens.iter().filter(|token| token.kind == lexer::TokenKind::Rows) {
            plain[rows.start..rows.end].fill(b' ');
        }
        let plain = String::from_utf8(plain).expect("whole tokens are replaced");
        let ends = |kind| tokens.iter().filter(move |t| t.kind == kind).map(|t| t.start).collect::<Vec<_>>();
        let reference = semicolons(&plain, dialect);
        prop_assert_eq!(ends(lexer::TokenKind::Semicolon), reference, "{:?}", tokens);

        // The statements contain everything except blanks, comments and the semicolons.
        let parsed = read(&text, dialect);
        let lines: Vec<&str> = text.strip_prefix('\u{feff}').unwrap_or(&text).split('\n').collect();
        let all = parsed.migration.operations.iter().chain(parsed.migration.down.iter().flatten());
        for operation in all {
            let Operation::Sql(sql) = operation else { continue };
            for statement in sql.statements() {
                let place = statement.place.as_ref().expect("files give places");
                let (line, column) = (place.line().unwrap_or(0), place.column().unwrap_or(0));
                let rest: String = lines[line as usize - 1].chars().skip(column as usize - 1).collect();
                let first = statement.sql.split('\n').next().unwrap_or_default();
                prop_assert!(rest.starts_with(first), "{:?} is not at {}", statement.sql, place);
            }
        }
        let mut covered = Vec::new();
        for piece in split::split(&text, &tokens, dialect.syntax()) {
            match piece {
                Piece::Statement(unit) => {
                    covered.push(unit.start()..unit.end());
                    covered.extend(unit.rows_range().map(|(start, end)| start..end));
                }
                Piece::ShellCommand { at, .. } => {
                    covered.push(at..text[at..].find('\n').map_or(text.len(), |length| at + length));
                }
                Piece::Directive { .. } | Piece::Lookalike(..) => {}
            }
        }
        for token in tokens {
            let significant = !matches!(token.kind, lexer::TokenKind::Blank | lexer::TokenKind::LineComment | lexer::TokenKind::Semicolon);
            let found = covered.iter().filter(|range| range.contains(&token.start)).count();
            prop_assert!(!significant || found == 1, "{:?} is in no statement", &text[token.start..token.end]);
        }
    }
}
