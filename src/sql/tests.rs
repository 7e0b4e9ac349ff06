//! Tests that apply to every engine's SQL, and helpers for the tests of each engine.

use super::lexer::lex;
use super::split::{Piece, split};
use super::{Admission, Dialect};
use crate::engine::dialects::{POSTGRES, SQLITE};

pub(crate) fn judged_as(sql: &str, dialect: &'static dyn Dialect) -> Admission {
    let (tokens, _) = lex(sql, dialect.syntax());
    match split(sql, &tokens, dialect.syntax()).pop() {
        Some(Piece::Statement(unit)) => dialect.judge(&unit),
        other => panic!("{sql}: {other:?}"),
    }
}

#[test]
fn transaction_control_is_refused_on_both_engines() {
    for engine in [POSTGRES, SQLITE] {
        for sql in [
            "BEGIN",
            "begin immediate",
            "START TRANSACTION READ ONLY",
            "COMMIT AND CHAIN",
            "commit",
            "END",
            "ROLLBACK",
            "ROLLBACK WORK",
            "/* c */ COMMIT -- c\n",
            "BEGIN; ",
        ] {
            assert!(matches!(judged_as(sql, engine), Admission::Refused(_)), "{sql}");
        }
        for sql in [
            "ROLLBACK TO a",
            "ROLLBACK TRANSACTION TO SAVEPOINT a",
            "SAVEPOINT a",
            "RELEASE a",
            "SELECT 'BEGIN'",
            "\"begin\"",
            "SELECT 1 AS begin",
            "CREATE TABLE commit (a int)",
        ] {
            assert_eq!(judged_as(sql, engine), Admission::Admitted, "{sql}");
        }
    }
    for sql in ["ABORT", "PREPARE TRANSACTION 'a'", "COMMIT PREPARED 'a'", "ROLLBACK PREPARED 'a'"] {
        assert!(matches!(judged_as(sql, POSTGRES), Admission::Refused(_)), "{sql}");
    }
    assert_eq!(judged_as("PREPARE a AS SELECT 1", POSTGRES), Admission::Admitted);
}
