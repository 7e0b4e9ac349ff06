//! Tracked caches in the database: `register`, `unregister`, `get_version`, `is_valid`,
//! `invalidate` and `invalidate_all`.
//!
//! In: a connection or an open transaction. On a connection, each operation is committed at
//! once; in a transaction, it is committed with the transaction. Out: versions, and changed
//! registrations.
//!
//! On PostgreSQL each operation is a call of the SQL API, which enforces all rules. On
//! SQLite it is a few statements on one small table. `engine` contains the statements of
//! each engine.
//!
//! ```
//! use bustard::{App, Migration, Migrator, registry};
//!
//! let mut connection = rusqlite::Connection::open_in_memory()?;
//! let app = App::new("main").migration("V1__bans", Migration::new().register_cache("bans"));
//! Migrator::new().app(app).run(&mut connection)?;
//!
//! let version = registry::get_version(&mut connection, "bans")?; // before the data is read
//! assert!(registry::is_valid(&mut connection, "bans", version)?);
//!
//! let mut transaction = connection.transaction()?;
//! registry::invalidate(&mut transaction, &["bans"])?;
//! transaction.commit()?;
//! assert!(!registry::is_valid(&mut connection, "bans", version)?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "tokio")]
pub mod asynchronous;
pub(crate) mod identity;
pub(crate) mod in_transaction;
mod tables;

pub use self::tables::{MissingTrigger, MissingTriggerCause};
pub(crate) use self::tables::{gone, missing_triggers, missing_triggers_query};
use crate::diagnostic::Diagnostic;
use crate::engine::registry::{not_a_version, single, unknown_now};
pub(crate) use crate::engine::registry::{not_owner, taken, unknown};
use crate::engine::{Executor, Row, Session};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{CacheVersion, KeyVersion, Statement};
use crate::sql::Dialect;

/// The longest name that a cache may have, in characters.
pub const LONGEST_NAME: usize = 128;

/// A registered cache.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrackedCache {
    /// The name of the cache.
    pub name: String,
    /// The label of the app that registered it, if an app did.
    pub app: Option<String>,
    /// The current version of the cache.
    pub version: CacheVersion,
    /// The time of the last registration, in the format of RFC 3339 and in UTC.
    pub registered_at: String,
    /// The tables whose writes invalidate the cache, on PostgreSQL with their schemas, and with
    /// the columns of keys: `public.membership by user_id`.
    pub tables: Vec<String>,
}

/// Lists all registered caches by name.
///
/// # Errors
///
/// Returns [`ErrorKind::Database`] if the database has no registry yet.
///
/// ```
/// # use bustard::{App, Migration, Migrator, registry};
/// # let mut connection = rusqlite::Connection::open_in_memory()?;
/// # let app = App::new("main").migration("V1__bans", Migration::new().register_cache("bans"));
/// # Migrator::new().app(app).run(&mut connection)?;
/// let caches = registry::list(&mut connection)?;
/// assert_eq!((caches[0].name.as_str(), caches[0].app.as_deref()), ("bans", Some("main")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn list(executor: &mut impl Executor) -> Result<Vec<TrackedCache>> {
    let sql = executor.dialect().registry().list();
    tracked(executor.rows(sql)?)
}

/// Lists all registered caches.
pub(crate) fn list_in(session: &mut dyn Session) -> Result<Vec<TrackedCache>> {
    tracked(session.rows(session.dialect().registry().list())?)
}

/// Parses rows of name, app, version, time and table, one for each table of a cache.
fn tracked(rows: Vec<Row>) -> Result<Vec<TrackedCache>> {
    let mut caches: Vec<TrackedCache> = Vec::new();
    for row in rows {
        let mut columns = row.into_iter();
        let mut next = || columns.next().flatten();
        let (name, app, version, registered_at, table) = (next(), next(), next(), next(), next());
        match (name, version.and_then(|v| CacheVersion::new(v.parse().ok()?)), registered_at) {
            (Some(name), Some(version), Some(registered_at)) => {
                if caches.last().is_none_or(|last| last.name != name) {
                    caches.push(TrackedCache { name, app, version, registered_at, tables: Vec::new() });
                }
            }
            _ => return Err(not_a_version()),
        }
        if let Some(last) = caches.last_mut() {
            last.tables.extend(table);
        }
    }
    Ok(caches)
}

/// Starts tracking a cache that `app` owns.
///
/// Registering takes a lock, and only other registrations wait for it. A name that was
/// registered before gets new versions, and never an old version.
///
/// # Errors
///
/// Returns [`ErrorKind::Cache`] if the name is registered, empty or too long, or has
/// control characters. If the name is registered, the message names the owner.
/// Returns [`ErrorKind::Database`] in a PostgreSQL transaction that is not READ
/// COMMITTED.
///
/// ```
/// # use bustard::{App, Migration, Migrator, registry};
/// # let mut connection = rusqlite::Connection::open_in_memory()?;
/// # let app = App::new("main").migration("V1__bans", Migration::new().register_cache("bans"));
/// # Migrator::new().app(app).run(&mut connection)?;
/// registry::register(&mut connection, "sessions", None)?;
/// assert!(registry::register(&mut connection, "bans", None).is_err(), "it belongs to main");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn register(executor: &mut impl Executor, name: &str, app: Option<&str>) -> Result<()> {
    check_name(name)?;
    executor.registry().register(executor, name, app)
}

/// Stops tracking a cache, and drops the triggers that no other cache needs. If there are
/// any, writers of their tables wait until the transaction ends (PostgreSQL).
///
/// # Errors
///
/// Returns [`ErrorKind::Cache`] if the name is not registered.
/// Returns [`ErrorKind::Database`] in a PostgreSQL transaction that is not READ
/// COMMITTED.
///
/// ```
/// # use bustard::{App, Migration, Migrator, registry};
/// # let mut connection = rusqlite::Connection::open_in_memory()?;
/// # let app = App::new("main").migration("V1__bans", Migration::new().register_cache("bans"));
/// # Migrator::new().app(app).run(&mut connection)?;
/// registry::unregister(&mut connection, "bans")?;
/// assert!(registry::get_version(&mut connection, "bans").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn unregister(executor: &mut impl Executor, name: &str) -> Result<()> {
    check_name(name)?;
    executor.registry().unregister(executor, name)
}

/// Returns the cache's current version. Inside a transaction, reads it in the transaction's
/// snapshot. Read the version before the data that you store under it.
///
/// # Errors
///
/// Returns [`ErrorKind::Cache`] if the name is not registered.
///
/// ```
/// # use bustard::{App, Migration, Migrator, registry};
/// # let mut connection = rusqlite::Connection::open_in_memory()?;
/// # let app = App::new("main").migration("V1__bans", Migration::new().register_cache("bans"));
/// # Migrator::new().app(app).run(&mut connection)?;
/// let version = registry::get_version(&mut connection, "bans")?;
/// assert!(version.get() > 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn get_version(executor: &mut impl Executor, name: &str) -> Result<CacheVersion> {
    check_name(name)?;
    let sql = executor.dialect().registry().version(name);
    version(executor, name, &sql)
}

/// Reads the version of a cache, or of a key, with this query.
fn version(executor: &mut impl Executor, name: &str, sql: &str) -> Result<CacheVersion> {
    let rows = executor.rows(sql)?;
    match single(&rows) {
        Some(version) => version.parse().ok().and_then(CacheVersion::new).ok_or_else(not_a_version),
        None => Err(unknown_now(executor, name)?),
    }
}

/// Returns whether the cache still has this version. A number that is not a version, such
/// as 0, is never valid.
///
/// # Errors
///
/// Returns [`ErrorKind::Cache`] if the name is not registered.
///
/// ```
/// # use bustard::{App, Migration, Migrator, registry};
/// # let mut connection = rusqlite::Connection::open_in_memory()?;
/// # let app = App::new("main").migration("V1__bans", Migration::new().register_cache("bans"));
/// # Migrator::new().app(app).run(&mut connection)?;
/// let version = registry::get_version(&mut connection, "bans")?;
/// assert!(registry::is_valid(&mut connection, "bans", version)?);
/// assert!(!registry::is_valid(&mut connection, "bans", version.get() + 1)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn is_valid(executor: &mut impl Executor, name: &str, version: impl Into<i64>) -> Result<bool> {
    Ok(get_version(executor, name)?.get() == version.into())
}

/// Gives each of the caches a new version. Never waits for another session (PostgreSQL).
///
/// # Errors
///
/// Returns [`ErrorKind::Cache`] if one of the names is not registered. In that case, none
/// of the caches is invalidated.
///
/// ```
/// # use bustard::{App, Migration, Migrator, registry};
/// # let mut connection = rusqlite::Connection::open_in_memory()?;
/// # let app = App::new("main").migration("V1__bans", Migration::new().register_cache("bans"));
/// # Migrator::new().app(app).run(&mut connection)?;
/// let version = registry::get_version(&mut connection, "bans")?;
/// registry::invalidate(&mut connection, &["bans"])?;
/// assert!(!registry::is_valid(&mut connection, "bans", version)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn invalidate(executor: &mut impl Executor, names: &[&str]) -> Result<()> {
    names.iter().try_for_each(|name| check_name(name))?;
    if names.is_empty() {
        return Ok(());
    }
    executor.registry().invalidate(executor, names)
}

/// Gives every registered cache a new version, however many there are.
///
/// # Errors
///
/// Returns [`ErrorKind::Database`] if the database has no registry yet.
///
/// ```
/// # use bustard::{App, Migration, Migrator, registry};
/// # let mut connection = rusqlite::Connection::open_in_memory()?;
/// # let app = App::new("main").migration("V1__bans", Migration::new().register_cache("bans"));
/// # Migrator::new().app(app).run(&mut connection)?;
/// let version = registry::get_version(&mut connection, "bans")?;
/// registry::invalidate_all(&mut connection)?;
/// assert!(!registry::is_valid(&mut connection, "bans", version)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn invalidate_all(executor: &mut impl Executor) -> Result<()> {
    executor.write(&executor.dialect().registry().invalidate_all())
}

/// Notifies every [`CacheBuster`](crate::CacheBuster) of the database, so that it polls
/// now. Call it after the commit of an invalidation. A `CacheBuster` that misses the
/// notification polls within its interval. On SQLite, which has no notifications, this
/// does nothing.
///
/// # Errors
///
/// Returns [`ErrorKind::Usage`] in an open transaction, because transactions that notify
/// wait for each other at the commit.
///
/// ```
/// # use bustard::{App, Migration, Migrator, registry};
/// # let mut connection = rusqlite::Connection::open_in_memory()?;
/// # let app = App::new("main").migration("V1__bans", Migration::new().register_cache("bans"));
/// # Migrator::new().app(app).run(&mut connection)?;
/// registry::invalidate(&mut connection, &["bans"])?;
/// registry::notify(&mut connection)?; // readers poll at once
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn notify(executor: &mut impl Executor) -> Result<()> {
    if !executor.commits() {
        return Err(in_transaction());
    }
    match executor.dialect().registry().notify() {
        Some(notify) => executor.rows(notify).map(drop),
        None => Ok(()),
    }
}

/// Returns why a name is not valid for a cache; `None` if it is valid.
pub(crate) fn bad_name(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("a cache's name must not be empty")
    } else if name.chars().count() > LONGEST_NAME {
        Some("a cache's name has at most 128 characters")
    } else if name.chars().any(char::is_control) {
        Some("a cache's name has no control characters")
    } else {
        None
    }
}

pub(crate) fn check_name(name: &str) -> Result<()> {
    match bad_name(name) {
        Some(why) => Err(Error::new(ErrorKind::Cache, why)),
        None => Ok(()),
    }
}

/// Returns the current version of a key, in the snapshot of a transaction.
pub(crate) fn get_key_version(executor: &mut impl Executor, name: &str, key: &[&str]) -> Result<KeyVersion> {
    check_name(name)?;
    let sql = executor.dialect().registry().key_version(name, key);
    KeyVersion::new(version(executor, name, &sql)?.get()).ok_or_else(not_a_version)
}

/// Gives a key a new version.
pub(crate) fn invalidate_key(executor: &mut impl Executor, name: &str, key: &[&str]) -> Result<()> {
    check_name(name)?;
    executor.registry().invalidate_key(executor, name, key)
}

fn in_transaction() -> Error {
    Error::usage("a notification inside a transaction would make others wait for its commit")
        .help("notify after the commit")
}

/// Folds invalidations and notifies the reading side after a commit. Returns a warning if
/// the fold failed. Readers poll, so nothing else can fail.
pub(crate) fn after_commit(session: &mut dyn Session) -> Option<Diagnostic> {
    session.registry().after_commit(session)
}

/// Returns the query for those of the named caches that are registered, with their owners.
pub(crate) fn owners_query(dialect: &'static dyn Dialect, names: &[&str]) -> String {
    dialect.registry().owners(names)
}

/// Returns the query for the names of all registered caches.
pub(crate) fn names_query(dialect: &'static dyn Dialect) -> &'static str {
    dialect.registry().names()
}

/// Returns the query for all registered caches that belong to an app, with the app.
pub(crate) fn owned_query(dialect: &'static dyn Dialect) -> &'static str {
    dialect.registry().owned()
}

/// Returns the query for unregistered caches, with their last owners.
pub(crate) fn former_query(dialect: &'static dyn Dialect) -> &'static str {
    dialect.registry().former()
}

/// Deletes the recorded tables of an app's unregistered caches. Afterwards these caches
/// cannot be registered again with their former tables.
pub(crate) fn forget_all(dialect: &'static dyn Dialect, app: &str) -> Statement {
    Statement::generated(dialect.registry().forget_all(app), None)
}
