//! The open transaction that is passed to a function of a migration, independent of the
//! driver.
//!
//! In: a driver's transaction. Out: a handle that executes SQL and returns the driver's
//! own type.

use super::Engine;
use crate::error::Result;

/// The open transaction that is passed to a function of a migration.
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

/// The transaction of a driver.
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

    /// Returns the engine that the migration runs on.
    pub fn engine(&self) -> Engine {
        self.0.engine()
    }

    /// Runs one or more statements and discards their rows.
    ///
    /// # Errors
    ///
    /// Returns the database's error.
    pub fn execute(&mut self, sql: &str) -> Result<()> {
        self.0.execute(sql)
    }

    /// Returns the driver's transaction; `None` unless the engine is PostgreSQL. Do not
    /// commit it.
    #[cfg(feature = "postgres")]
    pub fn postgres(&mut self) -> Option<&mut ::postgres::Transaction<'c>> {
        self.0.postgres()
    }

    /// Returns the driver's connection with the open transaction; `None` unless the engine
    /// is SQLite. Do not commit it.
    #[cfg(feature = "sqlite")]
    pub fn sqlite(&mut self) -> Option<&rusqlite::Connection> {
        self.0.sqlite()
    }
}
