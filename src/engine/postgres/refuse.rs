//! Recognizes, by their first words, statements that a migration for PostgreSQL cannot
//! contain.

use crate::diagnostic::{Code, Diagnostic};
use crate::sql::lexer::TokenKind;
use crate::sql::{Admission, Unit};

const COPY_IN: &str = "move what follows the semicolon behind the rows, which begin on the next line";
const COPY_OUT: &str = "leave it out: its output is not read";
/// The advice for a statement that cannot run in a transaction.
pub(super) const NO_TRANSACTION: &str = "it needs `-- bustard: no transaction`, which is not supported yet: run it by hand, or write it so that it can run in a transaction";

pub(super) fn refuse(unit: &Unit<'_>) -> Admission {
    if unit.is(0, "COPY") {
        return copy(unit);
    }
    let alone = |what: &str| {
        let message = format!("`{what}` cannot run inside a transaction");
        Admission::NotInTransaction(Diagnostic::new(Code::NotInTransaction, message).help(NO_TRANSACTION))
    };
    for what in [
        "VACUUM",
        "CREATE DATABASE",
        "DROP DATABASE",
        "CREATE TABLESPACE",
        "DROP TABLESPACE",
        "ALTER SYSTEM",
        "DISCARD ALL",
        "DROP INDEX CONCURRENTLY",
        "CREATE INDEX CONCURRENTLY",
        "CREATE UNIQUE INDEX CONCURRENTLY",
        "REINDEX DATABASE",
        "REINDEX SYSTEM",
        "REINDEX SCHEMA",
    ] {
        if unit.starts(what) {
            return alone(what);
        }
    }
    if unit.is(0, "REINDEX") && (1..unit.len().min(8)).any(|n| unit.is(n, "CONCURRENTLY")) {
        return alone("REINDEX CONCURRENTLY");
    }
    if unit.is(0, "CLUSTER") && unit.len() == 1 {
        return alone("CLUSTER");
    }
    if let Some(encoding) = client_encoding(unit)
        && !matches!(encoding.to_ascii_uppercase().as_str(), "UTF8" | "UTF-8" | "UNICODE" | "DEFAULT")
    {
        let message = format!("the encoding {encoding} is not set: migrations are read and sent as UTF-8");
        return Admission::Dropped(Diagnostic::new(Code::SkippedEncoding, message).help("leave it out"));
    }
    if unit.starts("ALTER TABLE") && last_words(unit, &["CONCURRENTLY"]) && any(unit, "DETACH") {
        return alone("DETACH PARTITION CONCURRENTLY");
    }
    Admission::Admitted
}

/// Returns the encoding that `SET client_encoding = …` or `SET NAMES …` sets.
fn client_encoding<'a>(unit: &Unit<'a>) -> Option<&'a str> {
    let at = if unit.starts("SET LOCAL|SESSION") { 2 } else { 1 };
    let value = match () {
        () if !unit.is(0, "SET") => return None,
        () if unit.is(at, "NAMES") => at + 1,
        () if unit.is(at, "client_encoding") => at + 2,
        () => return None,
    };
    Some(unit.token(value).trim_matches('\''))
}

/// Rejects `COPY` to the client, because Bustard does not read its data, and `COPY` from the
/// client if something else than its rows follows.
fn copy(unit: &Unit<'_>) -> Admission {
    if unit.rows_are_misplaced() {
        let message = "something follows `COPY … FROM stdin;` on the same line";
        return Admission::Refused(Diagnostic::new(Code::ClientCopy, message).help(COPY_IN));
    }
    let mut depth = 0;
    for n in 1..unit.len() {
        match unit.kind(n) {
            Some(TokenKind::Open) => depth += 1,
            Some(TokenKind::Close) => depth -= 1,
            _ if depth != 0 => {}
            _ if unit.is(n, "STDOUT") && unit.is(n - 1, "TO") => {
                let message = "`COPY … TO STDOUT` cannot be in a migration";
                return Admission::Refused(Diagnostic::new(Code::ClientCopy, message).help(COPY_OUT));
            }
            _ => {}
        }
    }
    Admission::Admitted
}

fn last_words(unit: &Unit<'_>, words: &[&str]) -> bool {
    let from = unit.len().saturating_sub(words.len());
    words.iter().enumerate().all(|(n, word)| unit.is(from + n, word))
}

fn any(unit: &Unit<'_>, word: &str) -> bool {
    (0..unit.len()).any(|n| unit.is(n, word))
}

#[cfg(test)]
mod tests {
    use super::super::POSTGRES;
    use super::*;
    use crate::sql::tests::judged_as;

    #[test]
    fn copy_from_and_to_the_client() {
        let judged = |sql| judged_as(sql, POSTGRES);
        assert_eq!(judged("COPY a (b, c) FROM stdin WITH (FORMAT csv);\n1\n\\.\n"), Admission::Admitted);
        assert_eq!(judged("COPY a FROM stdin; -- c\n\\.\n"), Admission::Admitted);
        assert!(matches!(judged("COPY a FROM stdin; SELECT 1\n1\n\\.\n"), Admission::Refused(_)));
        assert!(matches!(judged("copy a to stdout"), Admission::Refused(_)));
        assert_eq!(judged("COPY a FROM '/stdin'"), Admission::Admitted);
        assert_eq!(judged("COPY (SELECT 1 FROM stdin) TO '/x'"), Admission::Admitted);
    }

    #[test]
    fn the_encoding_stays_utf8() {
        for sql in ["SET client_encoding = 'LATIN1'", "set local client_encoding to win1252", "SET NAMES 'x'"]
        {
            assert!(matches!(judged_as(sql, POSTGRES), Admission::Dropped(_)), "{sql}");
        }
        for sql in
            ["SET client_encoding = 'UTF8'", "SET SESSION client_encoding TO DEFAULT", "SET a = 'LATIN1'"]
        {
            assert_eq!(judged_as(sql, POSTGRES), Admission::Admitted, "{sql}");
        }
    }

    #[test]
    fn statements_that_run_only_outside_transactions() {
        for sql in [
            "VACUUM FULL a",
            "CREATE INDEX CONCURRENTLY a ON b (c)",
            "CREATE UNIQUE INDEX CONCURRENTLY a ON b (c)",
            "DROP INDEX CONCURRENTLY IF EXISTS a",
            "REINDEX TABLE CONCURRENTLY a",
            "REINDEX (VERBOSE, CONCURRENTLY) INDEX a",
            "ALTER SYSTEM SET a = 1",
            "CREATE DATABASE a",
            "CLUSTER",
            "ALTER TABLE a DETACH PARTITION b CONCURRENTLY",
        ] {
            assert!(matches!(judged_as(sql, POSTGRES), Admission::NotInTransaction(_)), "{sql}");
        }
        for sql in [
            "REFRESH MATERIALIZED VIEW CONCURRENTLY a",
            "CREATE INDEX a ON b (c)",
            "CLUSTER a",
            "REINDEX TABLE a",
            "ALTER TABLE a DETACH PARTITION b",
            "ALTER TYPE a ADD VALUE 'b'",
            "CREATE INDEX \"concurrently\" ON a (b)",
        ] {
            assert_eq!(judged_as(sql, POSTGRES), Admission::Admitted, "{sql}");
        }
    }
}
