//! Settings of a SQLite connection that a migration may change. Neither the next
//! migration nor the caller must inherit them.

use rusqlite::Connection;

use super::{rows, run};

/// Settings that can be read, can be set within a transaction, and outlive it. The list
/// does not contain `foreign_keys`, which cannot be set within a transaction.
const PRAGMAS: &[&str] = &[
    "automatic_index",
    "cell_size_check",
    "ignore_check_constraints",
    "legacy_alter_table",
    "query_only",
    "read_uncommitted",
    "recursive_triggers",
    "reverse_unordered_selects",
    "trusted_schema",
    "writable_schema",
];

/// The previous settings. [`restore`](Pragmas::restore) restores them, and so does
/// dropping.
pub(super) struct Pragmas<'c> {
    connection: &'c Connection,
    before: Vec<Option<String>>,
}

impl<'c> Pragmas<'c> {
    pub(super) fn of(connection: &'c Connection) -> Self {
        Pragmas { connection, before: PRAGMAS.iter().map(|name| read(connection, name)).collect() }
    }

    /// Restores the settings that differ.
    pub(super) fn restore(&self) {
        for (name, before) in PRAGMAS.iter().zip(&self.before) {
            let Some(before) = before else { continue };
            if read(self.connection, name).as_ref() != Some(before)
                && run(self.connection, &format!("PRAGMA {name} = {before}")).is_err()
            {
                log::warn!("the setting {name} could not be restored to {before} on this connection");
            }
        }
    }
}

impl Drop for Pragmas<'_> {
    fn drop(&mut self) {
        self.restore();
    }
}

/// Reads a setting; `None` if this build of SQLite does not have it.
fn read(connection: &Connection, name: &str) -> Option<String> {
    rows(connection, &format!("PRAGMA {name}")).ok()?.pop()?.pop()?
}
