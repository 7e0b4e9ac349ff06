//! Tracked caches in the database: `register`, `unregister`, `get_version`,
//! `is_valid`, `invalidate` and `invalidate_all`, each on a connection, where it
//! commits at once, or in an open transaction, with which it commits.
//!
//! On PostgreSQL each is a call of the SQL API, where everything is enforced;
//! on SQLite it is a few statements on one small table. Each engine's steps are in its
//! room in `engine`; what is here is common.
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
pub(crate) use self::tables::{missing_triggers, missing_triggers_query};
use crate::engine::registry::{not_a_version, single, unknown_now};
pub(crate) use crate::engine::registry::{taken, unknown};
use crate::engine::{Executor, Row, Session};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{CacheVersion, Statement};
use crate::sql::Dialect;

/// The longest name that a cache may have, in characters.
pub const LONGEST_NAME: usize = 128;

/// A registered cache.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrackedCache {
    /// Its name.
    pub name: String,
    /// The label of the app that registered it, if an app did.
    pub app: Option<String>,
    /// Its version now.
    pub version: CacheVersion,
    /// When it was registered last, RFC 3339 in UTC.
    pub registered_at: String,
}

/// All registered caches by name.
///
/// # Errors
///
/// [`ErrorKind::Database`] where the database has no registry yet.
pub fn list(executor: &mut impl Executor) -> Result<Vec<TrackedCache>> {
    let sql = executor.dialect().registry().list();
    executor.rows(sql)?.into_iter().map(tracked).collect()
}

fn tracked(row: Row) -> Result<TrackedCache> {
    let mut columns = row.into_iter();
    let mut next = || columns.next().flatten();
    let (name, app, version, registered_at) = (next(), next(), next(), next());
    match (name, version.and_then(|v| CacheVersion::new(v.parse().ok()?)), registered_at) {
        (Some(name), Some(version), Some(registered_at)) => {
            Ok(TrackedCache { name, app, version, registered_at })
        }
        _ => Err(not_a_version()),
    }
}

/// Starts tracking a cache that `app` owns.
///
/// Registering takes a lock that only other registrations wait for. A name that
/// was registered before gets new versions, never an old one.
///
/// # Errors
///
/// [`ErrorKind::Cache`] if the name is registered (naming its owner), empty,
/// too long, or has control characters.
pub fn register(executor: &mut impl Executor, name: &str, app: Option<&str>) -> Result<()> {
    check_name(name)?;
    executor.registry().register(executor, name, app)
}

/// Stops tracking a cache, and drops its triggers, if it has any: for that other
/// writers of its tables wait until the transaction ends (PostgreSQL).
///
/// # Errors
///
/// [`ErrorKind::Cache`] if the name is not registered.
pub fn unregister(executor: &mut impl Executor, name: &str) -> Result<()> {
    check_name(name)?;
    executor.registry().unregister(executor, name)
}

/// The cache's version now, in the snapshot of the transaction if there is one.
/// Read it before the data that is to be stored under it.
///
/// # Errors
///
/// [`ErrorKind::Cache`] if the name is not registered.
pub fn get_version(executor: &mut impl Executor, name: &str) -> Result<CacheVersion> {
    check_name(name)?;
    let rows = executor.rows(&executor.dialect().registry().version(name))?;
    match single(&rows) {
        Some(version) => version.parse().ok().and_then(CacheVersion::new).ok_or_else(not_a_version),
        None => Err(unknown_now(executor, name)?),
    }
}

/// Whether the cache still has this version. A number that is no version, such as
/// 0, never is.
///
/// # Errors
///
/// [`ErrorKind::Cache`] if the name is not registered.
pub fn is_valid(executor: &mut impl Executor, name: &str, version: impl Into<i64>) -> Result<bool> {
    Ok(get_version(executor, name)?.get() == version.into())
}

/// Gives each of the caches a new version. Never waits for anybody (PostgreSQL).
///
/// # Errors
///
/// [`ErrorKind::Cache`] if one of the names is not registered; then none of
/// them is invalidated.
pub fn invalidate(executor: &mut impl Executor, names: &[&str]) -> Result<()> {
    names.iter().try_for_each(|name| check_name(name))?;
    if names.is_empty() {
        return Ok(());
    }
    executor.registry().invalidate(executor, names)
}

/// Gives every cache a new version, however many there are.
///
/// # Errors
///
/// [`ErrorKind::Database`] where the database has no registry yet.
pub fn invalidate_all(executor: &mut impl Executor) -> Result<()> {
    executor.write(&executor.dialect().registry().invalidate_all())
}

/// Tells every [`CacheBuster`](crate::CacheBuster) on the database to look at it
/// now. To be called after the commit of what they are to see; one that hears
/// nothing looks within its poll interval. On SQLite, where nobody is notified, it
/// does nothing.
///
/// # Errors
///
/// [`ErrorKind::Usage`] in an open transaction: committing transactions that notify
/// wait for one another.
pub fn notify(executor: &mut impl Executor) -> Result<()> {
    if !executor.commits() {
        return Err(in_transaction());
    }
    match executor.dialect().registry().notify() {
        Some(notify) => executor.rows(notify).map(drop),
        None => Ok(()),
    }
}

/// Why a name cannot be a cache's, if it cannot.
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

fn in_transaction() -> Error {
    Error::usage("a notification inside a transaction would make others wait for its commit")
        .help("notify after the commit")
}

/// What follows a commit, outside of it: the reading side is told to look. A failure
/// does no harm: readers poll.
pub(crate) fn after_commit(session: &mut dyn Session) {
    session.registry().after_commit(session);
}

/// The query for the owners of those of the names that are registered.
pub(crate) fn owners_query(dialect: &'static dyn Dialect, names: &[&str]) -> String {
    dialect.registry().owners(names)
}

/// The names of all registered caches.
pub(crate) fn names_query(dialect: &'static dyn Dialect) -> &'static str {
    dialect.registry().names()
}

/// All registered caches that belong to an app, with it.
pub(crate) fn owned_query(dialect: &'static dyn Dialect) -> &'static str {
    dialect.registry().owned()
}

/// Names that were registered once and are not, with their last owners.
pub(crate) fn former_query(dialect: &'static dyn Dialect) -> &'static str {
    dialect.registry().former()
}

/// Forgets what an app's unregistered caches were registered on: from then on they
/// cannot be registered again as they were.
pub(crate) fn forget_all(dialect: &'static dyn Dialect, app: &str) -> Statement {
    Statement::generated(dialect.registry().forget_all(app), None)
}
