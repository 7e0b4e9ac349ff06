//! The port of the registry: the operations by which an engine tracks caches.
//!
//! The engine chooses the steps of an operation: a call of a function in the database,
//! or several statements. Names, types and errors are common to all engines.

use std::fmt;

use super::{Row, Session, Transaction, sealed};
use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{ChangeCache, RegisterCache, UnregisterCache};
use crate::sql::Manner;

/// Changes the registry of one engine.
pub trait Registry: fmt::Debug + Sync {
    /// Registers a cache for an app.
    fn register(&self, executor: &mut dyn sealed::Executor, name: &str, app: Option<&str>) -> Result<()>;

    /// Unregisters a cache.
    fn unregister(&self, executor: &mut dyn sealed::Executor, name: &str) -> Result<()>;

    /// Gives every cache in the list a new version. After an error, no cache has a new
    /// version.
    fn invalidate(&self, executor: &mut dyn sealed::Executor, names: &[&str]) -> Result<()>;

    /// Gives a key of a cache, which has a value for each column, a new version.
    fn invalidate_key(&self, executor: &mut dyn sealed::Executor, name: &str, key: &[&str]) -> Result<()>;

    /// Registers a cache in a migration: for the app, or with the owner and tables that it
    /// had before it was unregistered.
    fn register_in(
        &self,
        transaction: &mut dyn Transaction,
        register: &RegisterCache,
        app: &str,
        manner: Manner,
    ) -> Result<()>;

    /// Changes the tables of a cache in a migration: to those that the operation names, if
    /// the app owns the cache, or to those that the cache had before the last change.
    fn change_in(
        &self,
        transaction: &mut dyn Transaction,
        change: &ChangeCache,
        app: &str,
        manner: Manner,
    ) -> Result<()>;

    /// Unregisters a cache in a migration.
    fn unregister_in(
        &self,
        transaction: &mut dyn Transaction,
        unregister: &UnregisterCache,
        manner: Manner,
    ) -> Result<()>;

    /// Unregisters a cache in a migration, with its tables, if the app owns it.
    fn release_in(&self, transaction: &mut dyn Transaction, name: &str, app: &str) -> Result<()>;

    /// Installs missing triggers.
    fn install_triggers(&self, transaction: &mut dyn Transaction) -> Result<()>;

    /// Folds invalidations and notifies readers after a commit, outside the transaction. A
    /// failure does no harm at once, because readers poll. Returns a warning if the fold
    /// failed.
    fn after_commit(&self, _session: &mut dyn Session) -> Option<Diagnostic> {
        None
    }

    /// Returns whether the grants differ from these roles, because another role may read
    /// and invalidate caches, or one of these roles may not. An engine without roles has
    /// nothing to compare.
    fn grants_differ(&self, _session: &mut dyn Session, _roles: &[String]) -> Result<bool> {
        Ok(false)
    }

    /// Grants these roles, and no other roles, the right to read and invalidate caches.
    /// Returns whether the grants were different before. On an engine without roles, the
    /// result is always `false`.
    fn set_grants(&self, _transaction: &mut dyn Transaction, _roles: &[String]) -> Result<bool> {
        Ok(false)
    }
}

/// The registry of an engine on which every call is one statement.
#[cfg(feature = "tokio")]
pub trait Calls: fmt::Debug + Sync {
    fn register(&self, name: &str, app: Option<&str>) -> String;
    fn unregister(&self, name: &str) -> String;
    fn version(&self, name: &str) -> String;
    fn identity(&self, name: &str) -> String;
    fn key_version(&self, name: &str, key: &[&str]) -> String;
    fn key_identity(&self, name: &str, key: &[&str]) -> String;
    fn invalidate(&self, names: &[&str]) -> String;
    fn invalidate_key(&self, name: &str, key: &[&str]) -> String;
    fn invalidate_all(&self) -> String;
    fn notify(&self) -> &'static str;
}

/// Builds the error for a name that is not registered.
pub(crate) fn unknown<'a>(name: &str, registered: impl IntoIterator<Item = &'a String>) -> Error {
    let error = Error::new(ErrorKind::Cache, format!("the cache {name} is not registered"));
    match nearest(name, registered.into_iter().map(String::as_str)) {
        Some(near) => error.help(format!("did you mean {near}?")),
        None => error.help("a migration registers it with `-- bustard: register cache NAME`"),
    }
}

/// Builds the error for a name that is not registered, after reading the registered names.
pub(crate) fn unknown_now(executor: &mut dyn sealed::Executor, name: &str) -> Result<Error> {
    let rows = executor.rows(executor.dialect().registry().names())?;
    let names: Vec<String> = rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect();
    Ok(unknown(name, &names))
}

/// Builds the error for a name that is already registered.
pub(crate) fn taken(name: &str, owner: Option<&str>) -> Error {
    let owner = owner.map_or_else(String::new, |owner| format!(" by the app {owner}"));
    Error::new(ErrorKind::Cache, format!("the cache {name} is already registered{owner}"))
        .with_code(Code::DuplicateCache)
        .help("choose another name, or unregister that one first")
}

/// Builds the error for a change of a cache that another app owns, or no app.
pub(crate) fn not_owner(name: &str, owner: Option<&str>) -> Error {
    let owner = owner.map_or_else(|| "no app".to_owned(), |owner| format!("the app {owner}"));
    Error::new(ErrorKind::Cache, format!("the cache {name} belongs to {owner}"))
        .with_code(Code::ForeignCache)
        .help("change its tables in a migration of the app that registered it")
}

/// Builds the error for a registry row that Bustard has not written.
pub(crate) fn not_a_version() -> Error {
    Error::new(ErrorKind::Failed, "a row of the registry is not a cache version")
        .help("its tables are Bustard's own: nothing else should write to them")
}

/// Returns the first column of the first row.
pub(crate) fn single(rows: &[Row]) -> Option<&str> {
    rows.first()?.first()?.as_deref()
}
