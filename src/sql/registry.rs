//! The port for text, as far as tracked caches go: queries and statements on the
//! registry that every engine writes in its own way.

use std::fmt;

use super::TableName;

/// How cache operations are carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    /// Whether tables that do not exist are passed over.
    pub lenient: bool,
    /// Whether they are those of a repeatable migration. They may have been carried out
    /// before: a cache that the app has registered gets the tables that are named now,
    /// and one that is unregistered stays so.
    pub repeatable: bool,
}

/// An engine's SQL on the registry.
pub trait RegistrySql: fmt::Debug + Sync {
    /// Name, app, version and time of registration of each registered cache, by name.
    fn list(&self) -> &'static str;

    /// The names of all registered caches.
    fn names(&self) -> &'static str;

    /// All registered caches with their apps, by name.
    fn owned(&self) -> &'static str;

    /// Names that were registered once and are not, with their last apps.
    fn former(&self) -> &'static str;

    /// Cache, table and reason for each table that is not as it was registered.
    fn missing_triggers(&self) -> &'static str;

    /// Those of the names that are registered, with their apps.
    fn owners(&self, names: &[&str]) -> String;

    /// The version of a cache; no row where it is not registered.
    fn version(&self, name: &str) -> String;

    /// Count, nonce, and whether this transaction has invalidated the cache; no row
    /// where it is not registered.
    fn identity(&self, name: &str) -> String;

    /// Gives every cache a new version.
    fn invalidate_all(&self) -> String;

    /// Forgets the tables of an app's unregistered caches, which then cannot be
    /// registered again as they were.
    fn forget_all(&self, app: &str) -> String;

    /// How a plan shows the registration of a cache; without an owner, that it is
    /// registered as it was before.
    fn shown_register(&self, name: &str, tables: &[TableName], owner: Option<&str>, manner: Manner)
    -> String;

    /// How a plan shows that a cache is unregistered; with `undoes`, because its
    /// registration is reverted.
    fn shown_unregister(&self, name: &str, undoes: bool, manner: Manner) -> String;

    /// Tells the reading side of every process to look now; `None` on an engine
    /// without notifications.
    fn notify(&self) -> Option<&'static str>;
}
