//! Pairs of BEGIN and COMMIT that are left out, because the migration has a transaction of its
//! own.
//!
//! In: the pieces of a text. Out: the statements to leave out.
//!
//! Such a pair means the same without it in two cases: outside of it are only settings, or
//! inside of it are only calls with which pg_dump writes large objects. Any other statement
//! outside would have committed on its own.

use std::collections::BTreeSet;

use super::directive::{self, Directive};
use super::lexer::TokenKind;
use super::refuse::control_keywords;
use super::split::{Piece, Unit};

/// What a statement is for the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Begin,
    Commit,
    /// Another statement that begins or ends a transaction.
    Control,
    Setting,
    LargeObject,
    Other,
}

/// Returns the byte offsets of the statements to leave out. The sections before and after
/// `down` are judged on their own.
pub(crate) fn left_out(text: &str, pieces: &[Piece<'_>]) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut section: Vec<(usize, Role)> = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Statement(unit) => section.push((unit.start(), role(unit))),
            Piece::Directive { comment, .. } => {
                if directive::parse(&text[comment.start..comment.end], false) == Ok(Directive::Down) {
                    found.extend(of_section(&std::mem::take(&mut section)));
                }
            }
            Piece::Lookalike(..) | Piece::ShellCommand { .. } => {}
        }
    }
    found.extend(of_section(&section));
    found
}

fn of_section(section: &[(usize, Role)]) -> Vec<usize> {
    let control: Vec<usize> = (0..section.len())
        .filter(|n| matches!(section[*n].1, Role::Begin | Role::Commit | Role::Control))
        .collect();
    let (mut large_objects, mut others, mut unpaired) = (Vec::new(), Vec::new(), false);
    let mut rest = control.as_slice();
    loop {
        rest = match *rest {
            [] => break,
            [begin, end, ref rest @ ..]
                if (section[begin].1, section[end].1) == (Role::Begin, Role::Commit) =>
            {
                let inside = &section[begin + 1..end];
                let is_pg_dumps =
                    !inside.is_empty() && inside.iter().all(|(_, role)| *role == Role::LargeObject);
                if is_pg_dumps { &mut large_objects } else { &mut others }.push((begin, end));
                rest
            }
            [_, ref rest @ ..] => {
                unpaired = true;
                rest
            }
        };
    }
    if let [(begin, end)] = *others
        && !unpaired
    {
        let outside = section[..begin].iter().chain(&section[end + 1..]);
        if outside.into_iter().all(|(_, role)| *role == Role::Setting) {
            large_objects.push((begin, end));
        }
    }
    large_objects.into_iter().flat_map(|(begin, end)| [section[begin].0, section[end].0]).collect()
}

fn role(unit: &Unit<'_>) -> Role {
    let noise =
        |at: usize| unit.len() == at || unit.len() == at + 1 && unit.starts_at(at, "WORK|TRANSACTION");
    if unit.is(0, "BEGIN") && noise(1) || unit.starts("START TRANSACTION") && unit.len() == 2 {
        Role::Begin
    } else if (unit.is(0, "COMMIT") || unit.is(0, "END")) && noise(1) {
        Role::Commit
    } else if control_keywords(unit).is_some() {
        Role::Control
    } else if unit.starts("SET|RESET|PRAGMA") || called(unit).is_some_and(|name| name == "set_config") {
        Role::Setting
    } else if called(unit).is_some_and(|name| name == "lowrite" || name.starts_with("lo_")) {
        Role::LargeObject
    } else {
        Role::Other
    }
}

/// Returns the name of the function, in lower case, if the statement does nothing but call
/// one: `SELECT pg_catalog.lo_close(0)`.
fn called(unit: &Unit<'_>) -> Option<String> {
    let qualified = unit.is(1, "pg_catalog") && unit.kind(2) == Some(TokenKind::Period);
    let name = if qualified { 3 } else { 1 };
    let is_call = unit.is(0, "SELECT")
        && unit.kind(name) == Some(TokenKind::Word)
        && unit.kind(name + 1) == Some(TokenKind::Open);
    let mut depth = 0;
    let closes = (name + 1..unit.len()).find(|n| {
        match unit.kind(*n) {
            Some(TokenKind::Open) => depth += 1,
            Some(TokenKind::Close) => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    (is_call && closes == Some(unit.len() - 1)).then(|| unit.token(name).to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::dialects::{POSTGRES, SQLITE};
    use crate::sql::lexer::lex;
    use crate::sql::split::split;

    /// Returns the statements of a text, those that are left out in angle brackets.
    fn marked(text: &str, dialect: &dyn crate::sql::Dialect) -> String {
        let pieces = split(text, &lex(text, dialect.syntax()).0, dialect.syntax());
        let left_out = left_out(text, &pieces);
        let shown = pieces.iter().filter_map(|piece| match piece {
            Piece::Statement(unit) if left_out.contains(&unit.start()) => Some(format!("<{}>", unit.sql())),
            Piece::Statement(unit) => Some(unit.sql().to_owned()),
            _ => None,
        });
        shown.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn pairs_that_are_left_out() {
        for text in [
            "<BEGIN>; a; b; <COMMIT>",
            "<begin transaction>; a; <end work>",
            "<START TRANSACTION>; a; <COMMIT TRANSACTION>",
            "SET a = 1; RESET b; SELECT pg_catalog.set_config('search_path', '', false); <BEGIN>; a; <COMMIT>; SET b = 2",
            "PRAGMA foreign_keys=OFF; <BEGIN TRANSACTION>; a; <COMMIT>",
            "a; <BEGIN>; SELECT pg_catalog.lo_open('1', 131072); SELECT pg_catalog.lowrite(0, '\\x'); \
             SELECT pg_catalog.lo_close(0); <COMMIT>; b; <BEGIN>; select lo_close((0)); <COMMIT>; c",
            "<BEGIN>; <COMMIT>",
        ] {
            for engine in [POSTGRES, SQLITE] {
                assert_eq!(marked(&text.replace(['<', '>'], ""), engine), text);
            }
        }
        let sections = "BEGIN; a; COMMIT;\n-- bustard: down\nSET b = 1; BEGIN; c; COMMIT;";
        assert_eq!(marked(sections, POSTGRES), "<BEGIN>; a; <COMMIT>; SET b = 1; <BEGIN>; c; <COMMIT>");
    }

    #[test]
    fn pairs_that_are_not() {
        for text in [
            "a; BEGIN; b; COMMIT",
            "BEGIN; a; COMMIT; b",
            "SELECT set_config('a', 'b', false), f(); BEGIN; a; COMMIT",
            "SELECT set_config('a', 'b', false) FROM c; BEGIN; a; COMMIT",
            "BEGIN; a; COMMIT; BEGIN; b; COMMIT",
            "BEGIN; a",
            "a; COMMIT",
            "COMMIT; a; BEGIN",
            "BEGIN; BEGIN; a; COMMIT; COMMIT",
            "BEGIN; a; COMMIT AND CHAIN",
            "BEGIN; a; COMMIT AND NO CHAIN",
            "BEGIN; a; ROLLBACK",
            "BEGIN; a; ROLLBACK; b; COMMIT",
            "BEGIN; a; ABORT",
            "BEGIN; a; PREPARE TRANSACTION 'b'",
            "BEGIN; a; COMMIT PREPARED 'b'",
            "BEGIN ISOLATION LEVEL SERIALIZABLE; a; COMMIT",
            "BEGIN READ ONLY; a; COMMIT",
            "BEGIN IMMEDIATE; a; COMMIT",
            "BEGIN EXCLUSIVE TRANSACTION; a; COMMIT",
            "START TRANSACTION READ WRITE; a; COMMIT",
            "a; BEGIN; SELECT lo_close(0); b; COMMIT",
            "a; BEGIN; SELECT lo_close(f()), g(); COMMIT",
            "a; BEGIN; COMMIT; b",
            "BEGIN; a;\n-- bustard: down\nCOMMIT",
        ] {
            for engine in [POSTGRES, SQLITE] {
                assert!(!marked(text, engine).contains('<'), "{engine} {text}");
            }
        }
        // Another transaction is open around pg_dump's.
        assert_eq!(
            marked("BEGIN; a; BEGIN; SELECT lo_close(0); COMMIT; COMMIT", POSTGRES),
            "BEGIN; a; <BEGIN>; SELECT lo_close(0); <COMMIT>; COMMIT"
        );
    }
}
