//! The open transaction that a function of a migration is given, whichever driver it
//! belongs to.

use super::Engine;
use crate::error::Result;

/// The open transaction that a function of a migration is given.
///
/// ```
/// use bustard::Migration;
///
/// let migration = Migration::new().run("fill slugs", |transaction| {
///     transaction.execute("UPDATE thread SET slug = lower(title) WHERE slug IS NULL")?;
///     Ok(())
/// });
/// # let _ = migration;
/// ```
pub struct OpenTransaction<'t, 'c>(&'t mut dyn Native<'c>);

/// The driver's side of it.
pub(crate) trait Native<'c> {
    fn engine(&self) -> Engine;

    fn execute(&mut self, sql: &str) -> Result<()>;

    #[cfg(feature = "postgres")]
    fn postgres(&mut self) -> Option<&mut ::postgres::Transaction<'c>> {
        None
    }

    #[cfg(feature = "sqlite")]
    fn sqlite(&self) -> Option<&rusqlite::Connection> {
        None
    }
}

impl<'t, 'c> OpenTransaction<'t, 'c> {
    #[cfg(feature = "_engine")]
    pub(crate) fn new(native: &'t mut dyn Native<'c>) -> Self {
        OpenTransaction(native)
    }

    /// The engine that the migration runs on.
    pub fn engine(&self) -> Engine {
        self.0.engine()
    }

    /// Runs one or more statements, discarding what they return.
    ///
    /// # Errors
    ///
    /// What the database said.
    pub fn execute(&mut self, sql: &str) -> Result<()> {
        self.0.execute(sql)
    }

    /// The driver's transaction, on PostgreSQL. Do not commit it.
    #[cfg(feature = "postgres")]
    pub fn postgres(&mut self) -> Option<&mut ::postgres::Transaction<'c>> {
        self.0.postgres()
    }

    /// The driver's connection with the transaction open on it, on SQLite. Do
    /// not commit it.
    #[cfg(feature = "sqlite")]
    pub fn sqlite(&mut self) -> Option<&rusqlite::Connection> {
        self.0.sqlite()
    }
}
