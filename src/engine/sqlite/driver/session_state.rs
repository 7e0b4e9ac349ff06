//! The state that a migration may leave on a SQLite connection: temporary objects, attached
//! databases and settings. Neither the next migration nor the caller inherits them. Values
//! that a pragma stores in the file are part of the schema, and stay.
//!
//! Bustard does not undo functions and collations that a Rust function defines, the heap
//! limits of the process, and the last inserted row's id.

use rusqlite::Connection;

use super::{failure, rows, run};
use crate::engine::{Row, quote_ident};
use crate::error::Result;

/// Settings that can be read, can be set within a transaction, and outlive it. Foreign
/// keys are not among them: they cannot be switched in a transaction.
const PRAGMAS: &[&str] = &[
    // The first two can prevent the removal of objects.
    "query_only",
    "writable_schema",
    "analysis_limit",
    "automatic_index",
    "busy_timeout",
    "cache_size",
    "cache_spill",
    "cell_size_check",
    "checkpoint_fullfsync",
    "count_changes",
    "defer_foreign_keys",
    "empty_result_callbacks",
    "full_column_names",
    "fullfsync",
    "ignore_check_constraints",
    "journal_size_limit",
    "legacy_alter_table",
    "locking_mode",
    "max_page_count",
    "mmap_size",
    "read_uncommitted",
    "recursive_triggers",
    "reverse_unordered_selects",
    "secure_delete",
    "short_column_names",
    "threads",
    "trusted_schema",
    "wal_autocheckpoint",
];

/// The state of a connection before a transaction. [`restore`](SessionState::restore) and
/// `drop` restore this state. It must be dropped after the end of the transaction, because
/// a database that takes part in the transaction cannot be detached before.
pub(super) struct SessionState<'c> {
    connection: &'c Connection,
    pragmas: Vec<Option<String>>,
    /// Whether LIKE distinguishes case. No pragma returns this setting.
    like: Option<String>,
    /// Temporary objects and attached databases, if they can be read.
    temporary: Option<Vec<Row>>,
    attached: Option<Vec<Row>>,
}

const LIKE: &str = "SELECT 'a' LIKE 'A'";

/// Lists views and triggers first, because they refer to tables. Indexes are dropped with
/// their tables, and the tables of a virtual table are dropped with it.
const TEMPORARY: &str = "SELECT type, name FROM sqlite_temp_master WHERE type <> 'index' \
    ORDER BY type = 'table', rootpage <> 0, name";

const ATTACHED: &str = "SELECT name FROM pragma_database_list WHERE name NOT IN ('main', 'temp')";

impl<'c> SessionState<'c> {
    pub(super) fn of(connection: &'c Connection) -> Self {
        SessionState {
            connection,
            pragmas: PRAGMAS.iter().map(|name| read(connection, &format!("PRAGMA {name}"))).collect(),
            like: read(connection, LIKE),
            temporary: rows(connection, TEMPORARY).ok(),
            attached: rows(connection, ATTACHED).ok(),
        }
    }

    /// Restores everything that has changed. A database that takes part in the open
    /// transaction stays attached until the end of the transaction.
    ///
    /// # Errors
    ///
    /// Returns an error if a temporary object cannot be dropped.
    pub(super) fn restore(&self) -> Result<()> {
        for (name, before) in PRAGMAS.iter().zip(&self.pragmas) {
            let Some(before) = before else { continue };
            if read(self.connection, &format!("PRAGMA {name}")).as_ref() != Some(before)
                && run(self.connection, &format!("PRAGMA {name} = {before}")).is_err()
            {
                log::warn!("the setting {name} could not be restored to {before} on this connection");
            }
        }
        if let (Some(before), Some(now)) = (&self.like, read(self.connection, LIKE))
            && *before != now
            // The expression returned 1 if the pragma was off. The pragma has changed, so
            // the current result is the previous value of the pragma.
            && run(self.connection, &format!("PRAGMA case_sensitive_like = {now}")).is_err()
        {
            log::warn!("case_sensitive_like could not be restored on this connection");
        }
        for row in self.added(TEMPORARY, self.temporary.as_ref()) {
            if let [Some(kind), Some(name)] = row.as_slice() {
                let drop = format!("DROP {kind} IF EXISTS temp.{}", quote_ident(name));
                run(self.connection, &drop).map_err(|error| failure(&error, &drop).into_error())?;
            }
        }
        for name in self.added(ATTACHED, self.attached.as_ref()).into_iter().flatten().flatten() {
            // Detaching fails while the database takes part in the transaction.
            if let Err(error) = run(self.connection, &format!("DETACH {}", quote_ident(&name)))
                && self.connection.is_autocommit()
            {
                log::warn!("the database {name} stays attached to this connection: {error}");
            }
        }
        Ok(())
    }

    /// Returns the rows of a query that were not there before.
    fn added(&self, query: &str, before: Option<&Vec<Row>>) -> Vec<Row> {
        let now = rows(self.connection, query).unwrap_or_default();
        now.into_iter().filter(|row| before.is_some_and(|before| !before.contains(row))).collect()
    }
}

impl Drop for SessionState<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.restore() {
            log::warn!("the connection could not be cleaned up: {error}");
        }
    }
}

/// Reads a value; `None` if this build of SQLite does not have it.
fn read(connection: &Connection, query: &str) -> Option<String> {
    rows(connection, query).ok()?.pop()?.pop()?
}
