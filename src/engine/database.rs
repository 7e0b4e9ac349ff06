//! A database named by a URL. Bustard opens the connection itself, on first use.

use std::fmt;
#[cfg(feature = "sqlite")]
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

#[cfg(feature = "sqlite")]
use super::GLANCE;
use super::observer::Observer;
#[cfg(feature = "sqlite")]
use super::patience::Patience;
use super::registry::Registry;
use super::{Connection, Executor, Row, Session, sealed};
use crate::error::{Error, ErrorKind, Result};
use crate::model::Engine;
use crate::sql::Dialect;

/// A connection that Bustard opens itself. Each use blocks the thread until it is done,
/// which may take as long as a migration. Within a Tokio runtime, use it in
/// `tokio::task::spawn_blocking`, or give it to `Migrator::run_async` (feature `tokio`).
///
/// ```
/// use bustard::{App, Database, Migration, Migrator, registry};
///
/// let mut database = Database::new("sqlite::memory:")?;
/// let app = App::new("main").migration("V1__bans", Migration::new().register_cache("bans"));
/// Migrator::new().app(app).run(&mut database)?;
/// assert_eq!(registry::list(&mut database)?[0].name, "bans");
/// # Ok::<(), bustard::Error>(())
/// ```
#[derive(Debug)]
pub struct Database {
    link: Link,
    create_missing: bool,
    canceller: Canceller,
}

enum Link {
    #[cfg(feature = "postgres")]
    Postgres(Box<PostgresLink>),
    #[cfg(feature = "sqlite")]
    Sqlite {
        path: Option<PathBuf>,
        connection: Option<Box<rusqlite::Connection>>,
        /// Stands for a file that does not exist yet, for commands that only look.
        empty: Option<Box<rusqlite::Connection>>,
    },
}

#[cfg(feature = "postgres")]
struct PostgresLink {
    target: super::postgres::driver::Target,
    /// The connection for migrations that contain only SQL.
    own: Option<super::postgres::driver::Own>,
    /// The connection for migrations with functions, which receive the driver's
    /// transaction.
    driver: Option<::postgres::Client>,
    /// What the server says on that connection.
    inbox: super::postgres::driver::Inbox,
}

#[cfg(feature = "postgres")]
impl Drop for PostgresLink {
    fn drop(&mut self) {
        let connections = (self.own.take(), self.driver.take());
        super::postgres::driver::outside(|| drop(connections));
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl Link {
    fn name(&self) -> String {
        match self {
            #[cfg(feature = "postgres")]
            Link::Postgres(link) => link.target.redacted(),
            #[cfg(feature = "sqlite")]
            Link::Sqlite { path: Some(path), .. } => super::sqlite::driver::url_of(path),
            #[cfg(feature = "sqlite")]
            Link::Sqlite { path: None, .. } => "sqlite::memory:".to_owned(),
        }
    }
}

impl Database {
    /// Reads a URL: `postgres://…`, `postgresql://…`, `sqlite:PATH` or
    /// `sqlite::memory:`. Does not connect.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Usage`] for any other URL, and for parameters that are not supported
    /// (for SQLite, all of them). The message never contains the URL.
    ///
    /// In the path of a SQLite file, `%20` and the like are decoded; `~` and a fragment
    /// are errors.
    pub fn new(url: &str) -> Result<Self> {
        Ok(Database { link: link(url)?, create_missing: true, canceller: Canceller::default() })
    }

    /// Sets whether a missing SQLite file is created. The default is `true`. Its directory
    /// must exist.
    pub fn create_missing(mut self, create: bool) -> Self {
        self.create_missing = create;
        self
    }

    /// Returns the engine that the URL names.
    pub fn engine(&self) -> Engine {
        match &self.link {
            #[cfg(feature = "postgres")]
            Link::Postgres(_) => Engine::Postgres,
            #[cfg(feature = "sqlite")]
            Link::Sqlite { .. } => Engine::Sqlite,
        }
    }

    /// Describes engine and URL for display, without the password.
    pub fn display_name(&self) -> String {
        format!("{} {}", self.engine(), self.link.name())
    }

    /// Returns a handle that cancels the work on this database from another thread.
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    /// Opens a separate connection to the same database, for an observer.
    pub(crate) fn observer(&self) -> Result<Box<dyn Observer>> {
        match &self.link {
            #[cfg(feature = "postgres")]
            Link::Postgres(link) => {
                Ok(Box::new(super::postgres::driver::PostgresObserver::new(link.target.clone())?))
            }
            #[cfg(feature = "sqlite")]
            Link::Sqlite { path: Some(path), .. } => {
                Ok(Box::new(super::sqlite::driver::SqliteObserver::new(path)))
            }
            #[cfg(feature = "sqlite")]
            Link::Sqlite { path: None, .. } => {
                Err(Error::usage("a SQLite database in memory is visible only to its own connection")
                    .help("write sqlite:PATH for a file"))
            }
        }
    }

    /// Connects, unless there is a connection already. Every other method that uses the
    /// connection calls `connect` first.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Connection`], with the server message.
    pub fn connect(&mut self) -> Result<()> {
        if self.canceller.cancelled.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Cancelled, "cancelled"));
        }
        match &mut self.link {
            #[cfg(feature = "postgres")]
            Link::Postgres(link) if link.own.is_none() => {
                let own = super::postgres::driver::Own::connect(&link.target, &self.canceller.cancelled)?;
                self.canceller.set(Hook::Postgres(own.client.cancel_token(), link.target.clone()));
                link.own = Some(own);
            }
            #[cfg(feature = "sqlite")]
            Link::Sqlite { path, connection: connection @ None, .. } => {
                let opened = super::sqlite::driver::open(path.as_deref(), self.create_missing)?;
                self.canceller.set(Hook::Sqlite(opened.get_interrupt_handle()));
                *connection = Some(Box::new(opened));
            }
            #[allow(unreachable_patterns, reason = "connected, on whichever engines are compiled in")]
            _ => {}
        }
        Ok(())
    }
}

fn link(url: &str) -> Result<Link> {
    #[cfg(feature = "postgres")]
    if super::postgres::driver::is_postgres(url) {
        let target = super::postgres::driver::Target::parse(url)?;
        return Ok(Link::Postgres(Box::new(PostgresLink {
            target,
            own: None,
            driver: None,
            inbox: Default::default(),
        })));
    }
    #[cfg(feature = "sqlite")]
    if super::sqlite::driver::is_sqlite(url) {
        let path = super::sqlite::driver::path_of(url)?;
        return Ok(Link::Sqlite { path, connection: None, empty: None });
    }
    let supported = match (cfg!(feature = "postgres"), cfg!(feature = "sqlite")) {
        (true, true) => "postgres://user@host:5432/database and sqlite:PATH",
        (true, false) => {
            "postgres://user@host:5432/database (bustard was built without its feature `sqlite`)"
        }
        _ => "sqlite:PATH (bustard was built without its feature `postgres`)",
    };
    Err(Error::usage("the database URL names no supported engine")
        .help(format!("supported are {supported}; an engine must have transactional DDL")))
}

impl Connection for Database {}

impl sealed::Connection for Database {
    fn dialect(&self) -> &'static dyn Dialect {
        super::dialects::of(Database::engine(self))
    }

    fn is_new(&self) -> bool {
        match &self.link {
            #[cfg(feature = "postgres")]
            Link::Postgres(_) => false,
            #[cfg(feature = "sqlite")]
            Link::Sqlite { path, connection, .. } => {
                connection.is_none() && path.as_ref().is_none_or(|path| !path.exists())
            }
        }
    }

    #[cfg(feature = "sqlite")]
    fn look(&mut self, patience: Duration) -> Result<Box<dyn Session + '_>> {
        use super::sqlite::driver::{SqliteSession, open};

        let missing = match &self.link {
            Link::Sqlite { path: Some(path), connection: None, .. } if !path.exists() => path.clone(),
            _ => return self.session(false, patience),
        };
        let directory = missing.parent().filter(|directory| !directory.as_os_str().is_empty());
        if directory.is_some_and(|directory| !directory.is_dir()) {
            // Reports the missing directory.
            open(Some(&missing), false)?;
        }
        log::warn!("{} does not exist yet: this is the state of an empty database", missing.display());
        let opened = Box::new(open(None, false)?);
        self.canceller.set(Hook::Sqlite(opened.get_interrupt_handle()));
        let cancelled = Some(self.canceller.cancelled.clone());
        match &mut self.link {
            Link::Sqlite { empty, .. } => {
                Ok(Box::new(SqliteSession::new(empty.insert(opened), cancelled, patience)))
            }
            #[cfg(feature = "postgres")]
            Link::Postgres(_) => Err(not_connected()),
        }
    }

    fn session(&mut self, functions: bool, patience: Duration) -> Result<Box<dyn Session + '_>> {
        if !functions || self.engine() != Engine::Postgres {
            self.connect()?;
        }
        let cancelled = self.canceller.cancelled.clone();
        match &mut self.link {
            #[cfg(feature = "postgres")]
            Link::Postgres(link) => {
                let PostgresLink { target, own, driver, inbox } = &mut **link;
                if functions && driver.is_none() {
                    let connected =
                        super::postgres::driver::connect_sync(target, &self.canceller.cancelled, inbox)?;
                    self.canceller.set(Hook::Driver(connected.cancel_token(), target.clone()));
                    *driver = Some(connected);
                }
                match (driver, own) {
                    (Some(driver), _) if functions => Ok(Box::new(
                        super::postgres::driver::PostgresSession::own(driver, cancelled, patience)
                            .with_inbox(inbox),
                    )),
                    (_, Some(own)) => {
                        Ok(Box::new(super::postgres::driver::PostgresSession::own(own, cancelled, patience)))
                    }
                    (_, None) => Err(not_connected()),
                }
            }
            #[cfg(feature = "sqlite")]
            Link::Sqlite { connection, .. } => match connection {
                Some(connection) => Ok(Box::new(super::sqlite::driver::SqliteSession::new(
                    connection,
                    Some(cancelled),
                    patience,
                ))),
                None => Err(not_connected()),
            },
        }
    }
}

impl Executor for Database {}

impl sealed::Executor for Database {
    fn dialect(&self) -> &'static dyn Dialect {
        super::dialects::of(Database::engine(self))
    }

    fn registry(&self) -> &'static dyn Registry {
        match &self.link {
            #[cfg(feature = "postgres")]
            Link::Postgres(_) => &super::postgres::PostgresRegistry,
            #[cfg(feature = "sqlite")]
            Link::Sqlite { .. } => &super::sqlite::SqliteRegistry,
        }
    }

    fn rows(&mut self, sql: &str) -> Result<Vec<Row>> {
        self.connect()?;
        match &mut self.link {
            #[cfg(feature = "postgres")]
            Link::Postgres(link) => match &mut link.own {
                Some(own) => own.rows(sql),
                None => Err(not_connected()),
            },
            #[cfg(feature = "sqlite")]
            Link::Sqlite { connection, .. } => match connection {
                Some(connection) => super::sqlite::driver::patient_rows(
                    connection,
                    &mut Patience::new(GLANCE),
                    Some(&self.canceller.cancelled),
                    sql,
                ),
                None => Err(not_connected()),
            },
        }
    }

    fn write(&mut self, sql: &str) -> Result<()> {
        self.connect()?;
        match &mut self.link {
            #[cfg(feature = "postgres")]
            Link::Postgres(link) => match &mut link.own {
                Some(own) => own.write(sql),
                None => Err(not_connected()),
            },
            #[cfg(feature = "sqlite")]
            Link::Sqlite { .. } => sealed::Executor::rows(self, sql).map(drop),
        }
    }

    fn commits(&self) -> bool {
        true
    }
}

fn not_connected() -> Error {
    Error::new(ErrorKind::Connection, "there is no connection")
}

/// Cancels the work on a [`Database`]: the running statement, the wait for the lock, and
/// every later use.
#[derive(Clone, Default)]
pub struct Canceller {
    cancelled: Arc<AtomicBool>,
    hook: Arc<Mutex<Option<Hook>>>,
}

enum Hook {
    #[cfg(feature = "postgres")]
    Postgres(tokio_postgres::CancelToken, super::postgres::driver::Target),
    #[cfg(feature = "postgres")]
    Driver(::postgres::CancelToken, super::postgres::driver::Target),
    #[cfg(feature = "sqlite")]
    Sqlite(rusqlite::InterruptHandle),
}

impl fmt::Debug for Canceller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canceller").field("cancelled", &self.cancelled).finish_non_exhaustive()
    }
}

impl Canceller {
    fn set(&self, hook: Hook) {
        *self.hook.lock().unwrap_or_else(PoisonError::into_inner) = Some(hook);
    }

    /// Cancels. An open transaction is rolled back, and the call that runs it returns an
    /// error of [`ErrorKind::Cancelled`].
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
        let hook = self.hook.lock().unwrap_or_else(PoisonError::into_inner);
        match &*hook {
            None => {}
            #[cfg(feature = "postgres")]
            Some(Hook::Postgres(token, target)) => super::postgres::driver::cancel(token, target),
            #[cfg(feature = "postgres")]
            Some(Hook::Driver(token, target)) => {
                if let Err(error) =
                    super::postgres::driver::outside(|| token.cancel_query(target.connector()))
                {
                    log::warn!("the server could not be asked to cancel the statement: {error}");
                }
            }
            #[cfg(feature = "sqlite")]
            Some(Hook::Sqlite(handle)) => handle.interrupt(),
        }
    }
}
