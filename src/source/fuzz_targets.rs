//! Fuzz targets: the lexer, the splitter, and the parser of directives and files.
//!
//! In: mutated texts. Out: nothing; a panic is a fault.

use std::path::Path;

use super::parse::{Directives, parse};
use crate::engine::dialects::{POSTGRES, SQLITE};
use crate::fuzz::drive;
use crate::sql::{Text, directive, lexer};

#[test]
fn fuzz_files() {
    drive("sql", |input| {
        let text = String::from_utf8_lossy(input);
        for dialect in [POSTGRES, SQLITE] {
            let (tokens, unended) = lexer::lex(&text, dialect.syntax());
            let ends = tokens.iter().map(|token| token.end);
            assert!(
                tokens.iter().map(|token| token.start).eq(std::iter::once(0).chain(ends).take(tokens.len()))
            );
            let end = tokens.last().map_or(0, |token| token.end);
            assert_eq!(end, unended.map_or(text.len(), |unended| unended.start));
            for directives in [Directives::Obeyed, Directives::Misplaced, Directives::Reverting] {
                for error in parse(&Text::new(Path::new("x"), &text), dialect, directives).errors {
                    assert!(!error.diagnostic.report().to_string().is_empty());
                }
            }
        }
    });
}

#[test]
fn fuzz_directives() {
    drive("directive", |input| {
        let text = String::from_utf8_lossy(input);
        for line in text.lines() {
            for comment in [line.to_owned(), format!("-- bustard: {line}")] {
                if !directive::found_in(&comment) {
                    continue;
                }
                for reverting in [false, true] {
                    if let Err((at, _)) = directive::parse(&comment, reverting) {
                        assert!(comment.is_char_boundary(at), "{comment:?} {at}");
                    }
                }
            }
            directive::suggest(line, &line.to_lowercase());
        }
        parse(&Text::new(Path::new("x"), &text), POSTGRES, Directives::Obeyed);
    });
}
