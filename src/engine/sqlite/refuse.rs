//! Statements that a migration for SQLite cannot contain, told by how they start.

use crate::sql::lexer::Kind;
use crate::sql::{Explained, Unit, Verdict};

pub(super) fn refuse(unit: &Unit<'_>) -> Verdict {
    let refused = |what: &str, why: &str, help| {
        Verdict::Refused(Explained { message: format!("`{what}` cannot be in a migration: {why}"), help })
    };
    let in_transaction = "SQLite refuses it inside a transaction";
    match () {
        () if unit.is(0, "ATTACH") => {
            refused("ATTACH", "only the database that is migrated is locked and committed", "leave it out")
        }
        () if unit.is(0, "DETACH") => refused("DETACH", in_transaction, "leave it out"),
        () if unit.is(0, "VACUUM") => {
            refused("VACUUM", in_transaction, "run it by hand, after the migration")
        }
        () if unit.is(0, "PRAGMA") => pragma(unit),
        () => Verdict::Fine,
    }
}

/// Pragmas that a transaction makes impossible, or meaningless.
fn pragma(unit: &Unit<'_>) -> Verdict {
    let name_at = if unit.kind(2) == Some(Kind::Period) { 3 } else { 1 };
    let name = unit.token(name_at).to_ascii_lowercase();
    let sets = matches!(unit.token(name_at + 1), "=" | "(");
    match name.as_str() {
        "foreign_keys" if sets => Verdict::Dropped(Explained {
            message: "`PRAGMA foreign_keys` is left out: it does nothing inside a transaction".to_owned(),
            help: "foreign keys are switched off while migrations run, and checked before they commit",
        }),
        "journal_mode" | "synchronous" | "temp_store" | "page_size" | "auto_vacuum" | "encoding" if sets => {
            Verdict::Refused(Explained {
                message: format!(
                    "`PRAGMA {name}` cannot be in a migration: SQLite does not change it inside a transaction"
                ),
                help: "set it where the application opens the database",
            })
        }
        "wal_checkpoint" => Verdict::Refused(Explained {
            message:
                "`PRAGMA wal_checkpoint` cannot be in a migration: SQLite refuses it inside a transaction"
                    .to_owned(),
            help: "run it by hand, after the migration",
        }),
        _ => Verdict::Fine,
    }
}

#[cfg(test)]
mod tests {
    use super::super::SQLITE;
    use super::*;
    use crate::sql::tests::verdict;

    #[test]
    fn sqlites_pragmas() {
        let judged = |sql| verdict(sql, SQLITE);
        for sql in ["PRAGMA foreign_keys = OFF", "pragma main.foreign_keys(0)", "PRAGMA Foreign_Keys=on"] {
            assert!(matches!(judged(sql), Verdict::Dropped(_)), "{sql}");
        }
        for sql in [
            "PRAGMA journal_mode=WAL",
            "PRAGMA main.synchronous = 0",
            "PRAGMA wal_checkpoint(FULL)",
            "VACUUM",
            "ATTACH 'a' AS b",
            "DETACH b",
        ] {
            assert!(matches!(judged(sql), Verdict::Refused(_)), "{sql}");
        }
        for sql in [
            "PRAGMA foreign_keys",
            "PRAGMA journal_mode",
            "PRAGMA defer_foreign_keys = ON",
            "PRAGMA user_version = 3",
            "PRAGMA foreign_key_check(a)",
        ] {
            assert_eq!(judged(sql), Verdict::Fine, "{sql}");
        }
    }
}
