//! Statements that a migration cannot contain, told by how they start.
//!
//! In: a statement. Out: whether it goes to the database, and if not, why.

use super::lexer::Kind;
use super::split::Unit;
use crate::diagnostic::{Code, Diagnostic};
use crate::model::Engine;

/// Whether a statement may be in a migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Admitted,
    /// Left out, with a warning.
    Dropped(Diagnostic),
    Refused(Diagnostic),
    /// What follows it is data, not SQL.
    CopyIn(Diagnostic),
    /// Only outside of transactions.
    NotInTransaction(Diagnostic),
}

const COMMITS: &str = "leave it out: Bustard commits a migration with its history; what must commit on its own goes into a migration of its own";
const COPY_IN: &str = "write the rows as INSERT, or COPY FROM a file of the server";
const COPY_OUT: &str = "leave it out: its output is not read";
const NO_TRANSACTION: &str = "it needs `-- bustard: no transaction`, which is not supported yet: run it by hand, or write it so that it can run in a transaction";

pub(crate) fn judge(unit: &Unit<'_>, engine: Engine) -> Admission {
    if let Some(keywords) = transaction_control(unit) {
        let message = format!(
            "`{keywords}` cannot be in a migration: it would end or begin the transaction that the migration is applied in"
        );
        return Admission::Refused(Diagnostic::new(Code::TransactionControl, message).help(COMMITS));
    }
    match engine {
        Engine::Postgres => postgres(unit),
        Engine::Sqlite => sqlite(unit),
    }
}

/// The keywords, where the statement begins or ends a transaction. Savepoints
/// do neither.
fn transaction_control(unit: &Unit<'_>) -> Option<&'static str> {
    let to_savepoint = unit.starts("ROLLBACK TO") || unit.starts("ROLLBACK WORK|TRANSACTION TO");
    [
        ("BEGIN", "BEGIN"),
        ("START TRANSACTION", "START TRANSACTION"),
        ("COMMIT PREPARED", "COMMIT PREPARED"),
        ("COMMIT", "COMMIT"),
        ("END", "END"),
        ("ROLLBACK PREPARED", "ROLLBACK PREPARED"),
        ("ROLLBACK", "ROLLBACK"),
        ("ABORT", "ABORT"),
        ("PREPARE TRANSACTION", "PREPARE TRANSACTION"),
    ]
    .into_iter()
    .find(|(keywords, _)| unit.starts(keywords) && !to_savepoint)
    .map(|(_, shown)| shown)
}

fn postgres(unit: &Unit<'_>) -> Admission {
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

/// What `SET client_encoding = …` or `SET NAMES …` sets.
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

/// `COPY` from or to the client, which has no data to send and reads none.
fn copy(unit: &Unit<'_>) -> Admission {
    let mut depth = 0;
    for n in 1..unit.len() {
        match unit.kind(n) {
            Some(Kind::Open) => depth += 1,
            Some(Kind::Close) => depth -= 1,
            _ if depth != 0 => {}
            _ if unit.is(n, "STDIN") && unit.is(n - 1, "FROM") => {
                let message = "`COPY … FROM STDIN` cannot be in a migration: its rows are no SQL";
                return Admission::CopyIn(Diagnostic::new(Code::ClientCopy, message).help(COPY_IN));
            }
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

fn sqlite(unit: &Unit<'_>) -> Admission {
    let refused = |code, what: &str, why: &str, help: &'static str| {
        let message = format!("`{what}` cannot be in a migration: {why}");
        Admission::Refused(Diagnostic::new(code, message).help(help))
    };
    let in_transaction = "SQLite refuses it inside a transaction";
    match () {
        () if unit.is(0, "ATTACH") => {
            let why = "only the database that is migrated is locked and committed";
            refused(Code::AttachedDatabase, "ATTACH", why, "leave it out")
        }
        () if unit.is(0, "DETACH") => {
            refused(Code::AttachedDatabase, "DETACH", in_transaction, "leave it out")
        }
        () if unit.is(0, "VACUUM") => {
            refused(Code::NotInTransaction, "VACUUM", in_transaction, "run it by hand, after the migration")
        }
        () if unit.is(0, "PRAGMA") => pragma(unit),
        () => Admission::Admitted,
    }
}

/// Pragmas that a transaction makes impossible, or meaningless.
fn pragma(unit: &Unit<'_>) -> Admission {
    let name_at = if unit.kind(2) == Some(Kind::Period) { 3 } else { 1 };
    let name = unit.token(name_at).to_ascii_lowercase();
    let sets = matches!(unit.token(name_at + 1), "=" | "(");
    match name.as_str() {
        "foreign_keys" if sets => {
            let message = "`PRAGMA foreign_keys` is left out: it does nothing inside a transaction";
            let help = "foreign keys are switched off while migrations run, and checked before they commit";
            Admission::Dropped(Diagnostic::new(Code::SkippedPragma, message).help(help))
        }
        "journal_mode" | "synchronous" | "temp_store" | "page_size" | "auto_vacuum" | "encoding" if sets => {
            let message = format!(
                "`PRAGMA {name}` cannot be in a migration: SQLite does not change it inside a transaction"
            );
            let help = "set it where the application opens the database";
            Admission::Refused(Diagnostic::new(Code::IneffectivePragma, message).help(help))
        }
        "wal_checkpoint" => {
            let message =
                "`PRAGMA wal_checkpoint` cannot be in a migration: SQLite refuses it inside a transaction";
            let help = "run it by hand, after the migration";
            Admission::Refused(Diagnostic::new(Code::NotInTransaction, message).help(help))
        }
        _ => Admission::Admitted,
    }
}

#[cfg(test)]
mod tests {
    use super::super::lexer::lex;
    use super::super::split::{Piece, split};
    use super::*;

    fn judged_as(sql: &str, engine: Engine) -> Admission {
        let (tokens, _) = lex(sql, engine);
        match split(sql, &tokens, engine).pop() {
            Some(Piece::Statement(unit)) => judge(&unit, engine),
            other => panic!("{sql}: {other:?}"),
        }
    }

    #[test]
    fn transaction_control_is_refused_on_both_engines() {
        for engine in [Engine::Postgres, Engine::Sqlite] {
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
            assert!(matches!(judged_as(sql, Engine::Postgres), Admission::Refused(_)), "{sql}");
        }
        assert_eq!(judged_as("PREPARE a AS SELECT 1", Engine::Postgres), Admission::Admitted);
    }

    #[test]
    fn copy_needs_somebody_at_the_other_end() {
        let judged = |sql| judged_as(sql, Engine::Postgres);
        assert!(matches!(judged("COPY a (b, c) FROM stdin WITH (FORMAT csv)"), Admission::CopyIn(_)));
        assert!(matches!(judged("copy a to stdout"), Admission::Refused(_)));
        assert_eq!(judged("COPY a FROM '/stdin'"), Admission::Admitted);
        assert_eq!(judged("COPY (SELECT 1 FROM stdin) TO '/x'"), Admission::Admitted);
    }

    #[test]
    fn the_encoding_stays_utf8() {
        for sql in ["SET client_encoding = 'LATIN1'", "set local client_encoding to win1252", "SET NAMES 'x'"]
        {
            assert!(matches!(judged_as(sql, Engine::Postgres), Admission::Dropped(_)), "{sql}");
        }
        for sql in
            ["SET client_encoding = 'UTF8'", "SET SESSION client_encoding TO DEFAULT", "SET a = 'LATIN1'"]
        {
            assert_eq!(judged_as(sql, Engine::Postgres), Admission::Admitted, "{sql}");
        }
    }

    #[test]
    fn what_postgresql_runs_outside_transactions_only() {
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
            assert!(matches!(judged_as(sql, Engine::Postgres), Admission::NotInTransaction(_)), "{sql}");
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
            assert_eq!(judged_as(sql, Engine::Postgres), Admission::Admitted, "{sql}");
        }
    }

    #[test]
    fn sqlites_pragmas() {
        let judged = |sql| judged_as(sql, Engine::Sqlite);
        for sql in ["PRAGMA foreign_keys = OFF", "pragma main.foreign_keys(0)", "PRAGMA Foreign_Keys=on"] {
            assert!(matches!(judged(sql), Admission::Dropped(_)), "{sql}");
        }
        for sql in [
            "PRAGMA journal_mode=WAL",
            "PRAGMA main.synchronous = 0",
            "PRAGMA wal_checkpoint(FULL)",
            "VACUUM",
            "ATTACH 'a' AS b",
            "DETACH b",
        ] {
            assert!(matches!(judged(sql), Admission::Refused(_)), "{sql}");
        }
        for sql in [
            "PRAGMA foreign_keys",
            "PRAGMA journal_mode",
            "PRAGMA defer_foreign_keys = ON",
            "PRAGMA user_version = 3",
            "PRAGMA foreign_key_check(a)",
        ] {
            assert_eq!(judged(sql), Admission::Admitted, "{sql}");
        }
    }
}
