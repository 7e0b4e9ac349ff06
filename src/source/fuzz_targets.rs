//! Fuzz targets: the lexer, the splitter, and the parser of directives and files.
//!
//! In: mutated texts. Out: nothing; a panic is a fault.

use std::ops::Range;
use std::path::Path;

use super::parse::{Directives, parse};
use crate::engine::dialects::{POSTGRES, SQLITE};
use crate::fuzz::{corpus, drive, finds};
use crate::sql::{Dialect, Text, directive, lexer};

/// Returns the tokens and the end of what could be read.
fn lex(text: &str, dialect: &dyn Dialect) -> (Vec<Range<usize>>, usize) {
    let (tokens, unended) = lexer::lex(text, dialect.syntax());
    let end = unended.map_or(text.len(), |unended| unended.start);
    (tokens.iter().map(|token| token.start..token.end).collect(), end)
}

/// Checks that tokens follow each other without a gap, and that each error has a text.
fn check_file(input: &[u8], lex: impl Fn(&str, &dyn Dialect) -> (Vec<Range<usize>>, usize)) -> bool {
    let text = String::from_utf8_lossy(input);
    let mut accepted = false;
    for dialect in [POSTGRES, SQLITE] {
        let (tokens, end) = lex(&text, dialect);
        let ends = std::iter::once(0).chain(tokens.iter().map(|token| token.end));
        assert!(tokens.iter().map(|token| token.start).eq(ends.take(tokens.len())));
        assert_eq!(tokens.last().map_or(0, |token| token.end), end);
        for directives in [Directives::Obeyed, Directives::Misplaced, Directives::Reverting] {
            let errors = parse(&Text::new(Path::new("x"), &text), dialect, directives).errors;
            accepted |= errors.is_empty();
            for error in errors {
                assert!(!error.diagnostic.report().to_string().is_empty());
            }
        }
    }
    accepted
}

#[test]
fn fuzz_files() {
    drive("sql", |input| check_file(input, lex));
}

#[test]
fn fuzz_files_finds_a_lost_token() {
    finds("sql", &corpus("sql"), |input| {
        check_file(input, |text, dialect| {
            let (mut tokens, end) = lex(text, dialect);
            tokens.retain(|token| !text[token.clone()].starts_with("E'"));
            (tokens, end)
        })
    });
}

#[test]
fn fuzz_directives() {
    drive("directive", |input| {
        let text = String::from_utf8_lossy(input);
        let mut accepted = false;
        for line in text.lines() {
            for comment in [line.to_owned(), format!("-- bustard: {line}")] {
                if !directive::found_in(&comment) {
                    continue;
                }
                for reverting in [false, true] {
                    match directive::parse(&comment, reverting) {
                        Ok(_) => accepted = true,
                        Err((at, _)) => assert!(comment.is_char_boundary(at), "{comment:?} {at}"),
                    }
                }
            }
            directive::suggest(line, &line.to_lowercase());
        }
        parse(&Text::new(Path::new("x"), &text), POSTGRES, Directives::Obeyed);
        accepted
    });
}
