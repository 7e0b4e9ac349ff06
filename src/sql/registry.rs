//! The port for the SQL text of tracked caches: queries and statements on the registry,
//! which differ between engines.
//!
//! In: names of caches, tables and apps. Out: SQL text.

use std::fmt;

use super::TrackedTable;

/// Options for cache operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    /// Whether to skip tables that do not exist.
    pub lenient: bool,
    /// Whether the operations belong to a repeatable migration and may have run before. A
    /// cache that the app has already registered then gets the current tables, and a cache
    /// that is already unregistered stays unregistered.
    pub repeatable: bool,
}

/// An engine's SQL on the registry.
pub trait RegistrySql: fmt::Debug + Sync {
    /// Returns name, app, version and time of registration of each registered cache, sorted
    /// by name, and a table whose writes invalidate it. A cache with several tables has a row
    /// for each.
    fn list(&self) -> &'static str;

    /// Returns the names of all registered caches.
    fn names(&self) -> &'static str;

    /// Returns all registered caches with their apps, sorted by name.
    fn owned(&self) -> &'static str;

    /// Returns the names of unregistered caches, with their last apps.
    fn former(&self) -> &'static str;

    /// Returns cache, table and reason for each table with missing triggers.
    fn missing_triggers(&self) -> &'static str;

    /// Returns the SQL that selects those of the names that are registered, with their
    /// apps.
    fn owners(&self, names: &[&str]) -> String;

    /// Returns the version of a cache; no row if it is not registered.
    fn version(&self, name: &str) -> String;

    /// Returns the count, the nonce, and whether this transaction has invalidated the cache;
    /// then the identity of the database and, if the engine has them, the system identifier
    /// and the OID. Returns no row if the cache is not registered.
    fn identity(&self, name: &str) -> String;

    /// Returns the version of a key, which has a value for each column; no row if the cache
    /// is not registered.
    fn key_version(&self, name: &str, key: &[&str]) -> String;

    /// Returns the columns of [`identity`](RegistrySql::identity) for a key.
    fn key_identity(&self, name: &str, key: &[&str]) -> String;

    /// Gives every cache a new version.
    fn invalidate_all(&self) -> String;

    /// Deletes the recorded tables of an app's unregistered caches. These caches can then
    /// not be registered `again`.
    fn forget_all(&self, app: &str) -> String;

    /// Returns the SQL that a plan shows for the registration of a cache. Without an owner,
    /// the cache is registered with its former owner and tables.
    fn shown_register(
        &self,
        name: &str,
        tables: &[TrackedTable],
        owner: Option<&str>,
        manner: Manner,
    ) -> String;

    /// Returns the SQL that a plan shows for a change of a cache's tables. Without an owner,
    /// the cache gets the tables that it had before.
    fn shown_change(
        &self,
        name: &str,
        tables: &[TrackedTable],
        owner: Option<&str>,
        manner: Manner,
    ) -> String;

    /// Returns the SQL that a plan shows for unregistering a cache. `reverts` says that the
    /// unregistration reverts a registration.
    fn shown_unregister(&self, name: &str, reverts: bool, manner: Manner) -> String;

    /// Notifies the reading side of every process to poll now; `None` on an engine without
    /// notifications.
    fn notify(&self) -> Option<&'static str>;
}
