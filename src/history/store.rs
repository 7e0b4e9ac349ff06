//! The port of a history: a table that lists the applied migrations of an app.
//!
//! In: the open transaction and the table. Out: changed rows. Reading is not part of the
//! port: a session reads the histories of all apps at once, see
//! [`Session::read_with`](crate::engine::Session::read_with).

use std::fmt;

use crate::engine::Transaction;
use crate::error::Result;
use crate::model::{History, LoadedMigration, MigrationId, Width};

/// The facts that a history requires before its first row in a transaction.
pub(crate) struct Opened<'h> {
    pub files: &'h [LoadedMigration],
    pub history: &'h History,
    /// Returns whether the text of the file with this number is the applied text.
    pub same: &'h dyn Fn(usize) -> bool,
    pub allow_divergent: bool,
    pub allow_missing: bool,
}

/// A kind of history table. `table` is its name, quoted for SQL.
pub(crate) trait Store: fmt::Debug + Sync {
    /// Creates the table if it does not exist, and verifies the history against the files.
    fn open(&self, transaction: &mut dyn Transaction, table: &str, opened: &Opened<'_>) -> Result<()>;

    /// Inserts the row of a migration.
    fn insert(
        &self,
        transaction: &mut dyn Transaction,
        table: &str,
        migration: &LoadedMigration,
        width: Width,
    ) -> Result<()>;

    /// Deletes the row of a migration.
    fn delete(&self, transaction: &mut dyn Transaction, table: &str, version: i64) -> Result<()>;

    /// Replaces the name and the checksum in the row of a migration.
    fn replace(
        &self,
        transaction: &mut dyn Transaction,
        table: &str,
        id: &MigrationId,
        checksum: &str,
    ) -> Result<()>;

    /// Drops the table.
    fn drop(&self, transaction: &mut dyn Transaction, table: &str) -> Result<()>;
}
