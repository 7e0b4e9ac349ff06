//! Tests blanks and invisible characters in directives.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::Path;

use super::parse::{Directives, parse};
use crate::diagnostic::is_unsafe;
use crate::engine::dialects::{POSTGRES, SQLITE};
use crate::model::Finding;
use crate::sql::Text;

/// One directive of each form, as its tokens. A blank goes before a token without a sign, and
/// none before the others.
const DIRECTIVES: &[&str] = &[
    "--| |bustard|:| |depends| |on| |main",
    "--| |bustard|:| |depends| |on| |main| |V1",
    "--| |bustard|:| |depends| |on| |main| |R__view",
    "--| |bustard|:| |required| |by| |main| |V3",
    "--| |bustard|:| |register| |cache| |c",
    "--| |bustard|:| |register| |cache| |\"c d\"",
    "--| |bustard|:| |register| |cache| |c| |on| |t",
    "--| |bustard|:| |register| |cache| |c| |on| |t|,| |u|,|v",
    "--| |bustard|:| |register| |cache| |c| |on| |s|.|t| |,| |\"x y\"|.|\"z\"",
    "--| |bustard|:| |register| |cache| |c| |on| |t|,| |1u",
    "--| |bustard|:| |register| |cache| |c| |on| |t|,",
    "--| |bustard|:| |unregister| |cache| |c",
    "--| |bustard|:| |no| |transaction",
    "--| |bustard|:| |down",
    "--| |bustard|:| |dwon",
    "--| |bustard|:",
];

/// The characters of the category Format, and some other invisible ones.
const FORMAT: &[RangeInclusive<u32>] = &[
    0xad..=0xad,
    0x600..=0x605,
    0x61c..=0x61c,
    0x6dd..=0x6dd,
    0x70f..=0x70f,
    0x890..=0x891,
    0x8e2..=0x8e2,
    0x180e..=0x180e,
    0x200b..=0x200f,
    0x202a..=0x202e,
    0x2060..=0x2064,
    0x2066..=0x206f,
    0xfeff..=0xfeff,
    0xfff9..=0xfffb,
    0x110bd..=0x110bd,
    0x110cd..=0x110cd,
    0x13430..=0x1343f,
    0x1bca0..=0x1bca3,
    0x1d173..=0x1d17a,
    0xe0001..=0xe0001,
    0xe0020..=0xe007f,
    // Fillers and marks that are invisible.
    0x34f..=0x34f,
    0x115f..=0x1160,
    0x17b4..=0x17b5,
    0x3164..=0x3164,
    0xfe00..=0xfe0f,
    0xffa0..=0xffa0,
];

fn characters() -> Vec<char> {
    let blanks = ('\0'..=char::MAX).filter(|c| c.is_whitespace());
    let format = FORMAT.iter().flat_map(|range| [*range.start(), *range.end()]).filter_map(char::from_u32);
    let controls = ['\u{1}', '\u{1b}', '\u{1f}', '\u{7f}', '\u{80}', '\u{9f}'];
    let all: BTreeSet<char> = blanks.chain(format).chain(controls).collect();
    all.into_iter().collect()
}

/// Returns the directive with the character at each border of its tokens, and in place of
/// each blank, with the column of the character.
fn instances(directive: &str, odd: char) -> Vec<(String, usize)> {
    let tokens: Vec<&str> = directive.split('|').collect();
    let mut instances = Vec::new();
    for n in 0..=tokens.len() {
        let (before, after) = (tokens[..n].concat(), tokens[n..].concat());
        let column = before.chars().count() + 1;
        instances.push((format!("{before}{odd}{after}"), column));
        if let Some(rest) = after.strip_prefix(' ') {
            instances.push((format!("{before}{odd}{rest}"), column));
        }
    }
    instances
}

#[test]
fn a20_odd_characters_in_directives_are_errors_with_a_place() {
    let characters = characters();
    assert!(characters.iter().filter(|c| c.is_whitespace()).count() >= 25 && characters.contains(&'\u{a0}'));
    let (mut counts, mut wrong) = ((0, 0, 0), Vec::new());
    for dialect in [SQLITE, POSTGRES] {
        for directive in DIRECTIVES {
            for odd in &characters {
                for (line, column) in instances(directive, *odd) {
                    let text = format!("SELECT 1;\n{line}\nSELECT 2;\n");
                    let errors =
                        parse(&Text::new(Path::new("a.sql"), &text), dialect, Directives::Obeyed).errors;
                    let place = |error: &Finding| {
                        let place = error.diagnostic.place().expect("a place");
                        (place.line().expect("a line"), place.column().expect("a column"))
                    };
                    let places: Vec<(u32, u32)> = errors.iter().map(place).collect();
                    match odd {
                        // A line end, so that the rest is another line, and blanks that are allowed.
                        '\n' | '\r' | '\t' | ' ' => counts.1 += 1,
                        // Part of a quoted name.
                        _ if is_quoted(&line, column) => counts.1 += 1,
                        // At the character, or at the token before or after it.
                        _ if places.iter().any(|(line, at)| *line == 2 && *at as usize <= column + 2) => {
                            counts.0 += 1;
                        }
                        // Visible signs, which the database takes as letters of a name.
                        _ if !odd.is_whitespace() && !is_unsafe(*odd) && line.contains(" on ") => {
                            counts.2 += 1;
                        }
                        _ => wrong.push(format!("{line:?} in {}: {errors:?}", dialect.name())),
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} in all, such as {:#?}", wrong.len(), &wrong[..wrong.len().min(20)]);
    assert!(counts.0 > 20_000, "{counts:?}");
}

fn is_quoted(line: &str, column: usize) -> bool {
    let before: String = line.chars().take(column - 1).collect();
    let after: String = line.chars().skip(column).collect();
    before.matches('"').count() % 2 == 1 && after.contains('"')
}
