//! Advice for errors of SQLite, by extended result code: what to do next.
//!
//! In: a code and SQLite's message. Out: advice. Many errors share the code 1, and only the
//! message tells them apart. SQLite does not translate its messages.

use crate::diagnostic::{Action, Advice};
use crate::engine::About;
use crate::engine::advice::{EXISTS, NO_COLUMN};

/// The advice for files that cannot be written.
pub(crate) const NEEDS_WRITING: &str = "this process' user needs write access to the file and to its directory, which holds the journal, on a writable file system";

/// The advice for a file that is something else.
pub(crate) const NO_DATABASE: &str =
    "correct the path, or restore a backup if the file is damaged; an encrypted file cannot be read";

const UNIQUE: &str = "two rows have the same key: change or delete one of them in an earlier statement, or write ON CONFLICT \
    or INSERT OR IGNORE if this statement inserts it";
const SYNTAX: &str = "correct the statement at the mark, or just before it; if it is written for PostgreSQL, give the file \
    a name that ends in `.postgres.sql`";
const DAMAGED: &str =
    "the file is damaged: `PRAGMA integrity_check` lists the damage; restore a backup before you run again";
const DEPENDENT: &str = "an index, a view or a trigger uses what this statement changes: drop it before, and create it \
    again afterwards";

/// The advice by code. A code below 256 stands for all its extended codes.
const CODES: &[(i32, About, &str)] = &[
    (2067, Statement, UNIQUE),
    (1555, Statement, UNIQUE),
    (2579, Statement, UNIQUE),
    (
        1299,
        Statement,
        "rows have no value for a NOT NULL column, which the message names: fill them in an earlier statement, or give \
         the column a DEFAULT",
    ),
    (
        275,
        Statement,
        "a row violates a CHECK constraint, which the message names: correct such rows in an earlier statement",
    ),
    (787, Statement, "insert the missing row, or delete the rows that refer to it"),
    (
        3091,
        Statement,
        "a value does not fit the type of its column in a STRICT table: convert it, for instance with CAST",
    ),
    (
        1811,
        Statement,
        "a trigger raised this error with RAISE, and the message says why: change the rows that it refuses, or the trigger",
    ),
    (
        20,
        Statement,
        "a column INTEGER PRIMARY KEY takes whole numbers only: convert the value, or leave it out",
    ),
    (18, Statement, "a value or the statement is too large for SQLite: split it"),
    (23, Statement, "the application's authorizer forbids the statement: migrate on another connection"),
    (517, Server, "another connection wrote after this one had begun to read: run again"),
    (5, Server, "another process has a transaction open on the database: run again when it has ended"),
    (6, Server, "another statement of this connection still reads: end it, and run again"),
    (1032, Server, "the file was moved or deleted while it was open: correct the path, and run again"),
    (8, Server, NEEDS_WRITING),
    (14, Server, NEEDS_WRITING),
    (3, Server, NEEDS_WRITING),
    (
        13,
        Server,
        "the disk is full, or the file has as many pages as max_page_count allows: make room, and run again",
    ),
    (10, Server, "the disk or the file system failed: see the log of the system, and run again"),
    (11, Server, DAMAGED),
    (26, Server, NO_DATABASE),
    (7, Server, "this process has no memory left: split the migration, or give it more memory"),
    (17, Server, "another process changed the schema: run again"),
];

use About::{Server, Statement};

/// The advice for errors with the code 1, by a part of their messages. The first that is found
/// is used.
const MESSAGES: &[(&str, &str)] = &[
    (" after rename: ", DEPENDENT),
    (" after drop column: ", DEPENDENT),
    ("error in view ", DEPENDENT),
    ("error in trigger ", DEPENDENT),
    (
        "cannot drop PRIMARY KEY column",
        "SQLite cannot drop this column: create the table anew without it, copy the rows, drop the old table and rename \
         the new one",
    ),
    (
        "cannot drop UNIQUE column",
        "SQLite cannot drop this column: create the table anew without it, copy the rows, drop the old table and rename \
         the new one",
    ),
    (
        "no such table: ",
        "create it in an earlier statement or migration; if another app creates it, write `-- bustard: depends on APP \
         VERSION`; if this statement drops it, write IF EXISTS",
    ),
    ("no such column: ", NO_COLUMN),
    (
        "no such function: ",
        "functions that an application adds to its connections do not exist in a migration: write the expression with \
         SQLite's own functions",
    ),
    ("no such module: ", "the linked SQLite has no such module: write the table without it"),
    ("duplicate column name: ", EXISTS),
    (" already exists", EXISTS),
    ("there is already ", EXISTS),
    (
        "Cannot add a NOT NULL column",
        "give the new column a DEFAULT that is not NULL, because the table may have rows",
    ),
    ("Cannot add a UNIQUE column", "add the column without UNIQUE, then write CREATE UNIQUE INDEX"),
    (
        "Cannot add a PRIMARY KEY column",
        "create the table anew with this key, copy the rows, drop the old table and rename the new one",
    ),
    (
        "foreign key mismatch",
        "exactly the columns that are referred to need a PRIMARY KEY or a UNIQUE constraint",
    ),
    (": syntax error", SYNTAX),
    ("incomplete input", SYNTAX),
    ("unrecognized token: ", SYNTAX),
];

/// Returns the advice for an error.
pub(crate) fn of(code: i32, message: &str) -> Option<(About, Advice)> {
    if code == 1 {
        let (_, text) = MESSAGES.iter().find(|(part, _)| message.contains(part))?;
        return Some((Statement, filled(text)));
    }
    let exact = CODES.iter().find(|(of, _, _)| *of == code);
    let (_, about, text) = exact.or_else(|| CODES.iter().find(|(of, _, _)| *of == code & 0xff))?;
    Some((*about, filled(text)))
}

fn filled(text: &'static str) -> Advice {
    match text.split_once("{fake}") {
        Some((before, after)) => Advice::text(before).then(Action::Fake).and(after),
        None => Advice::text(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind10_extended_codes_and_messages() {
        for (code, message, part) in [
            (5, "", "another process"),
            (261, "", "another process"),
            (517, "", "run again"),
            (6, "", "this connection"),
            (262, "", "this connection"),
            (264, "", "write access"),
            (1032, "", "moved or deleted"),
            (1544, "", "write access"),
            (778, "", "file system"),
            (11, "", "integrity_check"),
            (267, "", "integrity_check"),
            (26, "", "correct the path"),
            (526, "", "write access"),
            (787, "", "refer to"),
            (1, "error in view v after rename: no such table: main.t", "create it again"),
            (1, "there is already a table named x", "`Migrator::fake(true)`"),
        ] {
            let advice = of(code, message).map(|(_, advice)| advice.to_string()).unwrap_or_default();
            assert!(advice.contains(part), "{code} {message}: {advice}");
        }
        assert!(of(1, "something else").is_none());
        assert!(of(1811, "no such table: x").is_some_and(|(_, advice)| advice.to_string().contains("RAISE")));
    }
}
