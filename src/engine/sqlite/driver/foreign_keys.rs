//! Foreign keys during a migration. SQLite's documentation recommends rebuilding a table in
//! order to change it. With foreign keys on, a rebuild would delete the rows that refer to
//! the table with `ON DELETE CASCADE`. So foreign keys are off while a migration runs.
//! Before the commit, an error is returned if the migration has added a violation.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::{failure, rows, run};
use crate::error::{Error, ErrorKind, Result};

/// The number of violations of foreign keys by child and parent table, or the reason why
/// they cannot be counted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Violations(Result<BTreeMap<(String, String), usize>, String>);

/// Restores the previous setting on drop.
pub(super) struct Off<'c> {
    connection: &'c Connection,
    was_on: bool,
}

impl<'c> Off<'c> {
    /// Switches foreign keys off. SQLite ignores this inside a transaction.
    pub(super) fn new(connection: &'c Connection) -> Result<Self> {
        let setting = "PRAGMA foreign_keys";
        let found = rows(connection, setting).map_err(|error| failure(&error, setting).into_error())?;
        let was_on = found.first().and_then(|row| row.first()?.as_deref()) == Some("1");
        if was_on {
            run(connection, "PRAGMA foreign_keys = OFF")
                .map_err(|error| failure(&error, setting).into_error())?;
        }
        Ok(Off { connection, was_on })
    }
}

impl Drop for Off<'_> {
    fn drop(&mut self) {
        if self.was_on && run(self.connection, "PRAGMA foreign_keys = ON").is_err() {
            log::warn!("foreign keys could not be switched on again on this connection");
        }
    }
}

impl Violations {
    /// Counts all violations. Reads every child table.
    pub(super) fn count(connection: &Connection) -> Self {
        Violations(match rows(connection, "PRAGMA foreign_key_check") {
            Err(error) => Err(error.to_string()),
            Ok(found) => {
                let mut counts = BTreeMap::new();
                for row in found {
                    let column = |i: usize| row.get(i).cloned().flatten().unwrap_or_default();
                    *counts.entry((column(0), column(2))).or_default() += 1;
                }
                Ok(counts)
            }
        })
    }

    /// Returns an error if there are more violations than in `before`.
    pub(super) fn none_new(&self, before: &Violations) -> Result<()> {
        let nothing = BTreeMap::new();
        let now = match (&self.0, &before.0) {
            (Ok(now), _) => now,
            (Err(now), Err(before)) if now == before => return Ok(()),
            (Err(now), _) => {
                return Err(Error::new(
                    ErrorKind::Database,
                    format!("foreign keys cannot be checked: {now}"),
                )
                .help("a foreign key must refer to a primary key or to unique columns"));
            }
        };
        let before = before.0.as_ref().unwrap_or(&nothing);
        let new: Vec<String> = (now.iter())
            .filter_map(|(key, count)| {
                let more =
                    count.checked_sub(before.get(key).copied().unwrap_or(0)).filter(|more| *more > 0)?;
                let rows = if more == 1 { "row" } else { "rows" };
                Some(format!("{more} {rows} of {} without their row in {}", key.0, key.1))
            })
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Database, format!("foreign keys are violated: {}", new.join(", ")))
            .help("foreign keys are off while a migration runs and are checked before it commits: delete these rows, or \
                 insert their parents, in the migration"))
    }
}
