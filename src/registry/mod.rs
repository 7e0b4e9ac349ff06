//! Tracked caches in the database: `register`, `unregister`, `get_version`,
//! `is_valid`, `invalidate` and `invalidate_all`, each on a connection, where it
//! commits at once, or in an open transaction, with which it commits.
//!
//! On PostgreSQL each is a call of the SQL API, where everything is enforced;
//! on SQLite it is a few statements on one small table.
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
pub(crate) mod poller;
mod postgres;
mod sqlite;
mod tables;

#[cfg(feature = "testing")]
pub(crate) use self::tables::described;
pub use self::tables::{Untracked, UntrackedTable};
pub(crate) use self::tables::{forget_all, untracked, untracked_query};
use crate::diagnostic::nearest;
use crate::engine::{Executor, Row, Session};
use crate::error::{Error, ErrorKind, Result};
use crate::model::CacheVersion;
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
    let sql = match executor.dialect().has_schemas() {
        true => postgres::LIST,
        false => sqlite::LIST,
    };
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
        _ => Err(strange()),
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
    match executor.dialect().has_schemas() {
        true => executor.write(&postgres::register(name, app)),
        false => sqlite::register(executor, name, app),
    }
}

/// Stops tracking a cache, and drops its triggers, if it has any: for that other
/// writers of its tables wait until the transaction ends (PostgreSQL).
///
/// # Errors
///
/// [`ErrorKind::Cache`] if the name is not registered.
pub fn unregister(executor: &mut impl Executor, name: &str) -> Result<()> {
    check_name(name)?;
    match executor.dialect().has_schemas() {
        true => executor.write(&postgres::unregister(name)),
        false => sqlite::unregister(executor, name),
    }
}

/// The cache's version now, in the snapshot of the transaction if there is one.
/// Read it before the data that is to be stored under it.
///
/// # Errors
///
/// [`ErrorKind::Cache`] if the name is not registered.
pub fn get_version(executor: &mut impl Executor, name: &str) -> Result<CacheVersion> {
    check_name(name)?;
    let rows = match executor.dialect().has_schemas() {
        true => executor.rows(&postgres::get_version(name))?,
        false => executor.rows(&sqlite::get_version(name))?,
    };
    match single(&rows) {
        Some(version) => version.parse().ok().and_then(CacheVersion::new).ok_or_else(strange),
        None => Err(sqlite::unknown(executor, name)?),
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
    match executor.dialect().has_schemas() {
        true => executor.write(&postgres::invalidate(names)),
        false => sqlite::invalidate(executor, names),
    }
}

/// Gives every cache a new version, however many there are.
///
/// # Errors
///
/// [`ErrorKind::Database`] where the database has no registry yet.
pub fn invalidate_all(executor: &mut impl Executor) -> Result<()> {
    let sql = match executor.dialect().has_schemas() {
        true => postgres::invalidate_all(),
        false => sqlite::invalidate_all(),
    };
    executor.write(&sql)
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
    match executor.dialect().has_schemas() {
        true => executor.rows(postgres::NOTIFY).map(drop),
        false => Ok(()),
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

fn strange() -> Error {
    Error::new(ErrorKind::Failed, "the registry holds something that is no cache version")
        .help("its tables are Bustard's own: nobody else should write to them")
}

fn in_transaction() -> Error {
    Error::usage("a notification inside a transaction would make others wait for its commit")
        .help("notify after the commit")
}

fn single(rows: &[Row]) -> Option<&str> {
    rows.first()?.first()?.as_deref()
}

/// What follows a commit, outside of it: folding what can be folded, in a short
/// transaction of its own, and telling the readers that there is something to
/// look at. Failing is no harm: readers poll, and the next one folds.
pub(crate) fn after_commit(session: &mut dyn Session) {
    if !session.dialect().has_schemas() {
        return;
    }
    if let Err(error) = session.rows(&format!("{};{}", postgres::FOLD, postgres::NOTIFY)) {
        log::debug!("the registry could not be folded: {error}");
        if let Err(error) = session.rows(&format!("ROLLBACK;{}", postgres::NOTIFY)) {
            log::debug!("readers could not be notified: {error}");
        }
    }
}

/// The owners of those of the names that are registered, before a run. `None`
/// where there is no registry yet.
pub(crate) fn owners_query(dialect: &'static dyn Dialect, names: &[&str]) -> String {
    match dialect.has_schemas() {
        true => postgres::owners(names),
        false => sqlite::owners(names),
    }
}

/// The names of all registered caches.
pub(crate) fn names_query(dialect: &'static dyn Dialect) -> &'static str {
    match dialect.has_schemas() {
        true => "SELECT name FROM bustard.caches",
        false => "SELECT name FROM main.bustard_caches",
    }
}

/// All registered caches that belong to an app, with it.
pub(crate) fn owned_query(dialect: &'static dyn Dialect) -> &'static str {
    match dialect.has_schemas() {
        true => "SELECT c.name, c.app FROM bustard.caches AS c ORDER BY c.name",
        false => "SELECT name, app FROM main.bustard_caches ORDER BY name",
    }
}

/// Names that were registered once and are not, with their last owners.
pub(crate) fn former_query(dialect: &'static dyn Dialect) -> &'static str {
    match dialect.has_schemas() {
        true => "SELECT c.name, c.app FROM bustard.cache AS c WHERE NOT c.active",
        false => "SELECT name, app FROM main.bustard_cache WHERE active = 0",
    }
}

/// The error for a name that is not registered.
pub(crate) fn unknown<'a>(name: &str, registered: impl IntoIterator<Item = &'a String>) -> Error {
    let error = Error::new(ErrorKind::Cache, format!("the cache {name} is not registered"));
    match nearest(name, registered.into_iter().map(String::as_str)) {
        Some(near) => error.help(format!("did you mean {near}?")),
        None => error.help("a migration registers it with `-- bustard: register cache NAME`"),
    }
}

/// The error for a name that is registered already.
pub(crate) fn taken(name: &str, owner: Option<&str>) -> Error {
    let owner = owner.map_or_else(String::new, |owner| format!(" by the app {owner}"));
    Error::new(ErrorKind::Cache, format!("the cache {name} is already registered{owner}"))
        .help("choose another name, or unregister that one first")
}
