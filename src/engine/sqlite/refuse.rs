//! Recognizes, by their first words, statements that a migration for SQLite cannot
//! contain.

use crate::diagnostic::{Code, Diagnostic};
use crate::sql::lexer::TokenKind;
use crate::sql::{Admission, Unit};

pub(super) fn refuse(unit: &Unit<'_>) -> Admission {
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
        () if unit.reads_rows() => {
            let message = "`COPY … FROM stdin` cannot be in a migration for SQLite, which has no COPY";
            let help = "write the rows as INSERT (`pg_dump --inserts` does)";
            Admission::Refused(Diagnostic::new(Code::ClientCopy, message).help(help))
        }
        () => Admission::Admitted,
    }
}

/// Decides about a pragma: some have no effect or no meaning inside a transaction.
fn pragma(unit: &Unit<'_>) -> Admission {
    let name_at = if unit.kind(2) == Some(TokenKind::Period) { 3 } else { 1 };
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
    use super::super::SQLITE;
    use super::*;
    use crate::sql::tests::judged_as;

    #[test]
    fn sqlites_pragmas() {
        let judged = |sql| judged_as(sql, SQLITE);
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
            "COPY a FROM stdin;\n1\n\\.\n",
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
