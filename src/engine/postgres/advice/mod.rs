//! Advice for errors of PostgreSQL, by SQLSTATE: what to do next.
//!
//! In: the code of an error and the names that it has. Out: advice. The texts of an error are
//! in the language of the server (`lc_messages`), so no advice depends on them.

mod connecting;

pub(crate) use connecting::connecting;

use crate::diagnostic::{Action, Advice};
use crate::engine::advice::{EXISTS, NO_COLUMN};
use crate::engine::{About, quote_ident};

/// What an error has apart from its texts. A part that is not known is empty.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Origin<'o> {
    pub code: &'o str,
    /// The function of the server that raised the error.
    pub routine: &'o str,
    pub schema: &'o str,
    pub table: &'o str,
    pub column: &'o str,
    pub constraint: &'o str,
}

/// The function of the server that ends a statement because of a time-out or a cancellation.
pub(crate) const INTERRUPTS: &str = "ProcessInterrupts";

/// One row of the table: codes, functions of the server (none stands for all), and advice with
/// the names in braces.
struct Row(About, &'static [&'static str], &'static [&'static str], &'static str);

use About::{Server, Statement};

/// The first row that fits is used.
const ROWS: &[Row] = &[
    // Other sessions.
    Row(
        Server,
        &["55P03"],
        &[INTERRUPTS],
        "another session has a lock that this statement needs, and lock_timeout ended the wait: end that session's \
         transaction and run again",
    ),
    Row(
        Server,
        &["55P03"],
        &[],
        "another session has a lock that this statement needs, and NOWAIT does not wait for it: end that session's \
         transaction and run again, or leave NOWAIT out",
    ),
    Row(
        Server,
        &["57014"],
        &[],
        "the statement was cancelled, by statement_timeout or by another session: raise that limit for the role that \
         migrates, or find that session, and run again",
    ),
    Row(
        Server,
        &["40P01"],
        &[],
        "this transaction and another session waited for locks of each other, and the server ended this one: run again; \
         the detail names the other session",
    ),
    Row(Server, &["40001"], &[], "another session changed the same rows at the same time: run again"),
    Row(
        Server,
        &["55006"],
        &["dropdb", "RenameDatabase", "movedb", "createdb"],
        "other sessions are connected to that database: end them, and run again",
    ),
    // The connection and the server.
    Row(
        Server,
        &["25006"],
        &[],
        "the transaction is read-only: migrate the primary if the server is a replica; otherwise leave SET TRANSACTION \
         READ ONLY out, and see default_transaction_read_only",
    ),
    Row(
        Server,
        &["57P01"],
        &[],
        "see the server's log: an administrator ended the connection, or the server is shutting down",
    ),
    Row(
        Server,
        &["57P02"],
        &[],
        "see the server's log: one of its processes crashed, and the server restarts",
    ),
    Row(Server, &["57P03"], &[], "wait for a moment: the server is starting up or shutting down"),
    Row(Server, &["57P04"], &[], "name another database in the database URL: this one was dropped"),
    Row(Server, &["57P05"], &[], "raise idle_session_timeout for the role that migrates"),
    Row(
        Server,
        &["25P03"],
        &[],
        "the transaction was idle, for instance in a function, for longer than idle_in_transaction_session_timeout \
         allows: raise it for the role that migrates",
    ),
    Row(
        Server,
        &["25P04"],
        &[],
        "the transaction took longer than transaction_timeout allows: raise it for the role that migrates, or split the \
         migration",
    ),
    Row(Server, &["53100"], &[], "the server's disk is full: make room on it, and run again"),
    Row(
        Server,
        &["53200"],
        &["LockAcquireExtended", "SetupLockInTable", "FastPathTransferRelationLocks"],
        "the transaction needs more locks than the server has room for: raise max_locks_per_transaction, or lock less in \
         one transaction ({each}, or several migrations)",
    ),
    Row(
        Server,
        &["53200"],
        &[],
        "the server has no memory left: split the migration, lower work_mem or maintenance_work_mem, or give it more memory",
    ),
    Row(
        Server,
        &["53300"],
        &[],
        "the server has no connection left: close other connections or raise max_connections, and run again",
    ),
    Row(
        Server,
        &["53400"],
        &[],
        "the statement needs more than a limit of the configuration allows, such as temp_file_limit: raise the limit for \
         this role, or split the statement",
    ),
    Row(
        Server,
        &["58030", "XX001", "XX002"],
        &[],
        "the server cannot read its files, or they are damaged: see its log, and restore a backup before you run again",
    ),
    // Rights. The session names the object and the role, if the server tells.
    Row(
        Server,
        &["42501"],
        &["execute_extension_script"],
        "only a superuser may create this extension: let one create it by hand; CREATE EXTENSION IF NOT EXISTS then \
         succeeds in the migration",
    ),
    Row(
        Server,
        &["42501"],
        &[],
        "the role that migrates needs this right: grant it, or migrate as another role",
    ),
    // Statements that need another transaction.
    Row(
        Statement,
        &["55P04"],
        &[],
        "a value that ALTER TYPE … ADD VALUE adds can be used only when its transaction has committed: write the ALTER \
         TYPE in an earlier migration of its own, and use one transaction for each migration ({each})",
    ),
    Row(
        Statement,
        &["55006"],
        &["CheckTableNotInUse"],
        "earlier statements of the transaction changed rows of the table, and their deferred constraints or triggers have \
         not run yet: write SET CONSTRAINTS ALL IMMEDIATE before this statement; if a cursor or a loop of the migration \
         reads the table, close it first",
    ),
    Row(
        Statement,
        &["55006"],
        &[],
        "a session uses this object, perhaps the one that migrates: end that use, and run again",
    ),
    Row(
        Statement,
        &["25001"],
        &["PreventInTransactionBlock"],
        "the statement cannot run in the transaction of a migration: {no transaction}",
    ),
    Row(
        Statement,
        &["25001"],
        &[],
        "a migration runs in a transaction that has begun already, at READ COMMITTED: leave SET TRANSACTION out",
    ),
    Row(
        Statement,
        &["2D000"],
        &[],
        "a procedure or DO block cannot end the transaction of a migration: leave COMMIT and ROLLBACK out of it; \
         otherwise {no transaction}",
    ),
    // What is absent.
    Row(
        Statement,
        &["42P01", "42704"],
        &["DropErrorMsgNonExistent"],
        "it was dropped before, or it has another name or schema: correct the statement, or write IF EXISTS",
    ),
    Row(Statement, &["42703"], &[], NO_COLUMN),
    Row(
        Statement,
        &["42P01"],
        &[],
        "create it in an earlier statement or migration; if another app creates it, write `-- bustard: depends on APP \
         VERSION`; if its schema is not in search_path, write SCHEMA.NAME",
    ),
    Row(
        Statement,
        &["3F000"],
        &[],
        "write CREATE SCHEMA in an earlier statement or migration, or name a schema that exists, here or in search_path",
    ),
    Row(
        Statement,
        &["42883"],
        &[],
        "if an extension defines it, write CREATE EXTENSION IF NOT EXISTS in an earlier statement; if its schema is not in \
         search_path, write SCHEMA.NAME; otherwise cast the arguments to its argument types",
    ),
    Row(
        Statement,
        &["42704"],
        &[],
        "create it in an earlier statement or migration; if an extension defines it, write CREATE EXTENSION IF NOT EXISTS; \
         if another app creates it, write `-- bustard: depends on APP VERSION`; if its schema is not in search_path, \
         write SCHEMA.NAME",
    ),
    Row(
        Statement,
        &["0A000", "58P01"],
        &["parse_extension_control_file"],
        "install the package of the extension on the machine of the server (Debian: postgresql-contrib, \
         postgresql-VERSION-NAME), and run again",
    ),
    Row(
        Statement,
        &["58P01"],
        &[],
        "the file must exist on the machine of the server, not on this one: put it or its package there, and run again",
    ),
    Row(
        Statement,
        &["42830", "42P10"],
        &[],
        "exactly these columns need a PRIMARY KEY or UNIQUE constraint: create it in an earlier statement",
    ),
    Row(
        Statement,
        &["42601"],
        &[],
        "correct the statement at the mark, or just before it; if it is written for SQLite, give the file a name that ends \
         in `.sqlite.sql`",
    ),
    // What is there.
    Row(Statement, &["42P07", "42710", "42701", "42P06", "42723"], &[], EXISTS),
    Row(
        Statement,
        &["0A000"],
        &["RememberAllDependentForRebuilding", "ATExecAlterColumnType"],
        "the detail names a view, rule, trigger or policy that uses the column: drop it before this statement, and create \
         it again afterwards",
    ),
    Row(
        Statement,
        &["2BP01"],
        &[],
        "the detail names what depends on it: change or drop that in an earlier statement; CASCADE drops it too, even \
         where it belongs to another app",
    ),
    // Data.
    Row(
        Statement,
        &["23505"],
        &[],
        "two rows have the same key, which {constraint} forbids, and the detail names the key: change or delete one of \
         them in an earlier statement, or write ON CONFLICT if this statement inserts it",
    ),
    Row(
        Statement,
        &["23P01"],
        &[],
        "two rows conflict, which {constraint} forbids, and the detail names them: change or delete one of them in an \
         earlier statement, or write ON CONFLICT DO NOTHING if this statement inserts it",
    ),
    Row(
        Statement,
        &["23503"],
        &[],
        "insert the missing row, or delete the rows that refer to it; the detail names its key; if the constraint is new, \
         it can be added NOT VALID and validated later",
    ),
    Row(
        Statement,
        &["23502"],
        &[],
        "rows have no value for {column}: set it in an earlier statement (`UPDATE {table} SET {column} = … WHERE \
         {column} IS NULL`), name a value in an INSERT, or give a new column a DEFAULT",
    ),
    Row(
        Statement,
        &["23514"],
        &["ExecFindPartition"],
        "no partition takes the row; the detail names its key: create the partition in an earlier statement",
    ),
    Row(
        Statement,
        &["23514"],
        &[],
        "a row violates {constraint}: correct such rows in an earlier statement; if the constraint is new, it can be added \
         NOT VALID and validated later",
    ),
    Row(
        Statement,
        &["22001", "22003", "22007", "22008", "22P02", "22021", "22P05"],
        &[],
        "a value does not fit the type: correct it in the statement, or in the rows, in an earlier statement; when a \
         column gets another type, USING can convert the values",
    ),
    Row(
        Statement,
        &["21000"],
        &["ExecOnConflictUpdate"],
        "the statement inserts several rows with one key: leave one of them, for instance with DISTINCT",
    ),
    Row(
        Statement,
        &["21000"],
        &[],
        "a subquery is used as a value, and returns several rows: restrict it, with a condition on a unique key, an \
         aggregate or LIMIT 1",
    ),
    // Limits, and errors that SQL raises itself.
    Row(
        Statement,
        &["54001"],
        &[],
        "the statement nests too deep, or a function calls itself without end: simplify it, or end the recursion",
    ),
    Row(Statement, &["54011"], &[], "a table or a result has at most 1,600 columns: split it"),
    Row(Statement, &["54023"], &[], "a function takes at most 100 arguments: pass an array"),
    Row(
        Statement,
        &["P0001", "P0004"],
        &[],
        "SQL raised this error itself, with RAISE or ASSERT in the migration, a function or a trigger: the message and \
         the context say where and why",
    ),
];

/// Returns the advice for an error of a statement.
pub(crate) fn of(origin: &Origin<'_>) -> Option<(About, Advice)> {
    let fits =
        |Row(_, codes, routines, _): &&Row| codes.contains(&origin.code) && is_of(routines, origin.routine);
    let Row(about, _, _, text) = ROWS.iter().find(fits)?;
    Some((*about, filled(text, origin)))
}

/// Returns whether a row for these functions of the server is about this one. No function
/// stands for all.
fn is_of(routines: &[&str], routine: &str) -> bool {
    routines.is_empty() || routines.contains(&routine)
}

/// Puts names and actions into a text.
fn filled(text: &'static str, origin: &Origin<'_>) -> Advice {
    let mut parts = text.split(['{', '}']);
    let mut advice = Advice::text(parts.next().unwrap_or_default());
    // Every second part is a name.
    while let Some(name) = parts.next() {
        advice = match name {
            "fake" => advice.then(Action::Fake),
            "each" => advice.then(Action::TransactionEach),
            "no transaction" => advice.and(super::refuse::NO_TRANSACTION),
            _ => advice.and(value(name, origin)),
        };
        advice = advice.and(parts.next().unwrap_or_default());
    }
    advice
}

/// Returns a name of an error, as it is written in SQL.
fn value(name: &str, origin: &Origin<'_>) -> String {
    let or = |name: &str, otherwise: &str| if name.is_empty() { otherwise.to_owned() } else { ident(name) };
    match (name, origin.schema) {
        ("table", "") => or(origin.table, "TABLE"),
        ("table", schema) => format!("{}.{}", ident(schema), or(origin.table, "TABLE")),
        ("column", _) => or(origin.column, "COLUMN"),
        _ => or(origin.constraint, "a constraint"),
    }
}

/// Quotes a name, unless it is plain.
pub(crate) fn ident(name: &str) -> String {
    let starts = |c: char| c.is_ascii_lowercase() || c == '_';
    let plain = name.starts_with(starts) && name.chars().all(|c| starts(c) || c.is_ascii_digit());
    if plain { name.to_owned() } else { quote_ident(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each row can be reached, and names nothing that it cannot fill.
    #[test]
    fn kind10_each_row_is_used() {
        for (n, Row(about, codes, routines, text)) in ROWS.iter().enumerate() {
            for code in *codes {
                let routine = routines.first().copied().unwrap_or("any");
                let names = Origin { code, routine, schema: "s", table: "T x", column: "c", constraint: "k" };
                let (found, advice) = of(&names).expect("it has a row");
                assert_eq!(found, *about, "{code}");
                let shown = advice.for_command("bustard");
                assert!(!shown.contains(['{', '}']), "{shown}");
                assert!(text.starts_with(&shown[..shown.len().min(9)]), "row {n} is hidden: {shown}");
                assert!(shown.len() < 420, "{shown}");
            }
        }
        let origin = Origin { code: "23502", schema: "s", table: "T x", column: "c", ..Origin::default() };
        let (_, advice) = of(&origin).expect("it has a row");
        assert!(advice.to_string().contains("`UPDATE s.\"T x\" SET c = … WHERE c IS NULL`"), "{advice}");
        assert!(of(&Origin { code: "XX000", ..Origin::default() }).is_none());
    }
}
