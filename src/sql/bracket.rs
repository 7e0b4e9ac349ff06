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
pub(crate) fn left_out(text: &str, pieces: &[Piece<'_>]) -> BTreeSet<u64> {
    let mut pairs = Pairs::default();
    let mut found = BTreeSet::new();
    for piece in pieces {
        found.extend(pairs.see(text, piece, &|at| at as u64).into_iter().flatten());
    }
    found.extend(pairs.end().into_iter().flatten());
    found
}

/// Returns whether a statement can be one of a pair.
pub(crate) fn is_of_a_pair(unit: &Unit<'_>) -> bool {
    matches!(role(unit), Role::Begin | Role::Commit)
}

/// Finds the pairs to leave out, piece by piece. A pair around large objects is found at its
/// end, and the pair around a section at the end of the section.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    /// The BEGIN before the next statement.
    begin: Option<u64>,
    /// Whether there are statements after it, and all of them are calls on large objects.
    large_objects: Option<bool>,
    /// The first pair that is not around large objects.
    pair: Option<[u64; 2]>,
    /// Whether something prevents that it is left out: another pair, a statement outside of
    /// it, or a statement of no pair.
    prevented: bool,
}

impl Pairs {
    /// Processes the next piece, and returns the pair that is known now. `offset` converts
    /// the offsets of the piece.
    pub(crate) fn see(
        &mut self,
        text: &str,
        piece: &Piece<'_>,
        offset: &dyn Fn(usize) -> u64,
    ) -> Option<[u64; 2]> {
        match piece {
            Piece::Statement(unit) => self.statement(role(unit), offset(unit.start())),
            Piece::Directive { comment, .. } => {
                match directive::parse(&text[comment.start..comment.end], false) {
                    Ok(Directive::Down) => self.end(),
                    _ => None,
                }
            }
            Piece::Lookalike(..) | Piece::ShellCommand { .. } => None,
        }
    }

    /// Ends a section, and returns the pair around it.
    pub(crate) fn end(&mut self) -> Option<[u64; 2]> {
        let Pairs { begin, pair, prevented, .. } = std::mem::take(self);
        pair.filter(|_| begin.is_none() && !prevented)
    }

    fn statement(&mut self, role: Role, at: u64) -> Option<[u64; 2]> {
        match role {
            Role::Begin => {
                self.prevented |= self.begin.is_some();
                (self.begin, self.large_objects) = (Some(at), None);
            }
            Role::Commit => match self.begin.take() {
                None => self.prevented = true,
                Some(begin) if self.large_objects == Some(true) => {
                    // It is outside of the other pair.
                    self.prevented = true;
                    return Some([begin, at]);
                }
                Some(_) if self.pair.is_some() => self.prevented = true,
                Some(begin) => self.pair = Some([begin, at]),
            },
            Role::Control => {
                self.begin = None;
                self.prevented = true;
            }
            Role::Setting | Role::LargeObject | Role::Other if self.begin.is_some() => {
                let before = self.large_objects.unwrap_or(true);
                self.large_objects = Some(before && role == Role::LargeObject);
            }
            Role::Setting => {}
            Role::LargeObject | Role::Other => self.prevented = true,
        }
        None
    }
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
            Piece::Statement(unit) if left_out.contains(&(unit.start() as u64)) => {
                Some(format!("<{}>", unit.sql()))
            }
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
