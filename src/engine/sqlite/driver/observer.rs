//! An [`Observer`] of a SQLite file. SQLite has no notifications, so only the [`Bell`] or
//! the time ends a wait.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use rusqlite::config::DbConfig;

use super::{open, patient_rows};
use crate::diagnostic::{Action, Advice};
use crate::engine::Row;
use crate::engine::observer::{Bell, Observer, Poller, Woken};
use crate::engine::patience::Patience;
use crate::engine::sqlite::SqlitePoller;
use crate::error::{Error, ErrorKind, Result};

pub(crate) struct SqliteObserver {
    path: PathBuf,
    bell: Arc<Ear>,
    opened: Option<Opened>,
}

struct Opened {
    connection: rusqlite::Connection,
    file: FileIdentity,
    /// The path of the write-ahead log, with links resolved. SQLite does not remove the log
    /// while this connection is open.
    log: PathBuf,
    log_file: Option<FileIdentity>,
}

impl Opened {
    /// Returns whether the last read came from the log that exists now.
    fn has_log(&mut self) -> bool {
        let now = identity(&self.log).ok();
        if self.log_file.is_none() {
            self.log_file = now;
        }
        self.log_file == now
    }

    /// Closes the connection without writing its log into a file that has been replaced.
    fn abandon(self) {
        let kept = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        if let Err(error) = kept {
            log::warn!(
                "{}: the write-ahead log of the replaced file may be written into it: {error}",
                self.log.display()
            );
        }
    }
}

/// The identity of a file, which does not depend on its name: its device and its inode
/// number. The number is not reused while the file is open.
type FileIdentity = (u64, u64);

#[derive(Default)]
struct Ear {
    rung: Mutex<bool>,
    stopped: AtomicBool,
    heard: Condvar,
}

impl Bell for Ear {
    fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.heard.notify_all();
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.ring();
    }
}

impl SqliteObserver {
    /// Observes the file at this path. The path is absolute, so a later change of the
    /// working directory does not matter.
    pub(crate) fn new(path: &std::path::Path) -> Self {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        SqliteObserver { path, bell: Arc::default(), opened: None }
    }

    fn check_stopped(&self) -> Result<()> {
        if self.bell.stopped.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Cancelled, "cancelled"));
        }
        Ok(())
    }

    /// Returns the identity of the file that is at the path now.
    fn file(&self) -> Result<FileIdentity> {
        identity(&self.path).map_err(|error| {
            let message = format!("the SQLite file {} cannot be found", self.path.display());
            let advice = Advice::from(Action::Migrate).and(" makes it");
            Error::new(ErrorKind::Connection, message).help(advice).caused_by(error)
        })
    }

    /// Returns the path of the write-ahead log. If the path is a link, the log is beside
    /// the file that the link points to.
    fn log(&self) -> PathBuf {
        let path = std::fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let mut log = path.into_os_string();
        log.push("-wal");
        log.into()
    }

    fn replaced(&self) -> Error {
        let message =
            format!("the SQLite file {} has been replaced since it was opened", self.path.display());
        Error::new(ErrorKind::Connection, message)
            .help("before restoring a backup, stop the processes that use the database, and remove its -wal and -shm files")
    }
}

#[cfg(unix)]
fn identity(path: &Path) -> std::io::Result<FileIdentity> {
    use std::os::unix::fs::MetadataExt as _;

    std::fs::metadata(path).map(|file| (file.dev(), file.ino()))
}

/// Returns a constant, because on other systems an open file cannot be replaced.
#[cfg(not(unix))]
fn identity(_: &Path) -> std::io::Result<FileIdentity> {
    Ok((0, 0))
}

impl Observer for SqliteObserver {
    fn poller(self: Box<Self>) -> Box<dyn Poller> {
        Box::new(SqlitePoller::new(self))
    }

    fn connect(&mut self, _deadline: Instant) -> Result<()> {
        self.opened = None;
        self.check_stopped()?;
        // The file is opened for writing, because the transaction of a crashed writer must
        // be rolled back before any read.
        let before = self.file()?;
        let connection = open(Some(&self.path), false)?;
        if self.file()? != before {
            return Err(self.replaced());
        }
        self.opened = Some(Opened { connection, file: before, log: self.log(), log_file: None });
        Ok(())
    }

    fn rows(&mut self, _ahead: Option<&str>, sql: &str, deadline: Instant) -> Result<Vec<Row>> {
        self.check_stopped()?;
        // The connection is taken out, and put back only if it can still be used.
        let Some(mut opened) = self.opened.take() else {
            return Err(Error::new(ErrorKind::Connection, "the SQLite file is not open"));
        };
        let patience = deadline.saturating_duration_since(Instant::now());
        let read =
            patient_rows(&opened.connection, &mut Patience::new(patience), Some(&self.bell.stopped), sql);
        // The file is checked after the read, so that the rows certainly come from the file
        // that exists now.
        let checked = match self.file() {
            Ok(file) if file == opened.file && opened.has_log() => read,
            Ok(_) => Err(self.replaced()),
            Err(error) => Err(error),
        };
        match &checked {
            Err(error) if error.kind() == ErrorKind::Connection => opened.abandon(),
            _ => self.opened = Some(opened),
        }
        checked
    }

    fn wait(&mut self, until: Instant) -> Result<Woken> {
        let mut rung = self.bell.rung.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            self.check_stopped()?;
            if std::mem::take(&mut *rung) {
                return Ok(Woken::Rung);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Woken::Time);
            }
            rung = self.bell.heard.wait_timeout(rung, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn bell(&self) -> Arc<dyn Bell> {
        Arc::clone(&self.bell) as Arc<dyn Bell>
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::thread;
    use std::time::Duration;

    use rusqlite::Connection;

    use super::*;

    const LONG: Duration = Duration::from_secs(120);
    const SHORT: Duration = Duration::from_millis(50);

    fn database(path: &Path, value: i64) -> Connection {
        let connection = Connection::open(path).unwrap();
        connection.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (v)").unwrap();
        connection.execute("INSERT INTO t VALUES (?1)", [value]).unwrap();
        connection
    }

    fn value(observer: &mut SqliteObserver) -> Result<String> {
        let rows = observer.rows(Some("not even SQL"), "SELECT v FROM t", Instant::now() + LONG)?;
        Ok(rows[0][0].clone().unwrap())
    }

    #[track_caller]
    fn assert_fails<T: std::fmt::Debug>(result: Result<T>, kind: ErrorKind, words: &str) {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }

    #[test]
    fn no_file_is_created_and_no_transaction_is_left_open() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.sqlite");
        let mut observer = SqliteObserver::new(&path);
        assert_fails(observer.connect(Instant::now() + LONG), ErrorKind::Connection, "cannot be found");
        assert!(!path.exists());
        assert_fails(value(&mut observer), ErrorKind::Connection, "not open");

        let writer = database(&path, 1);
        observer.connect(Instant::now() + LONG).unwrap();
        assert_eq!(value(&mut observer).unwrap(), "1");
        writer.execute("UPDATE t SET v = 2", []).unwrap();
        // A reader that kept its snapshot open would prevent SQLite from restarting the
        // log.
        let busy: i64 = writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).unwrap();
        assert_eq!(busy, 0);
        assert_eq!(value(&mut observer).unwrap(), "2");
    }

    #[test]
    fn a_file_that_was_replaced_is_noticed_and_opened_again() {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("x.sqlite"), directory.path().join("y.sqlite"));
        drop(database(&path, 1));
        drop(database(&other, 2));
        let mut observer = SqliteObserver::new(&path);
        observer.connect(Instant::now() + LONG).unwrap();
        assert_eq!(value(&mut observer).unwrap(), "1");

        std::fs::remove_file(&path).unwrap();
        assert_fails(value(&mut observer), ErrorKind::Connection, "cannot be found");
        assert_fails(value(&mut observer), ErrorKind::Connection, "not open");

        drop(database(&path, 3));
        observer.connect(Instant::now() + LONG).unwrap();
        assert_eq!(value(&mut observer).unwrap(), "3");
        std::fs::rename(&other, &path).unwrap();
        assert_fails(value(&mut observer), ErrorKind::Connection, "replaced since it was opened");
        observer.connect(Instant::now() + LONG).unwrap();
        assert_eq!(value(&mut observer).unwrap(), "2");
    }

    /// Returns a database without a write-ahead log, its writer, and its observer.
    fn observed() -> (tempfile::TempDir, rusqlite::Connection, SqliteObserver) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.sqlite");
        let writer = database(&path, 1);
        writer.execute_batch("PRAGMA journal_mode = DELETE").unwrap();
        let mut observer = SqliteObserver::new(&path);
        observer.connect(Instant::now() + LONG).unwrap();
        (directory, writer, observer)
    }

    #[test]
    fn a_read_waits_for_a_writer_with_an_exclusive_lock() {
        let (_directory, writer, mut observer) = observed();

        writer.execute_batch("BEGIN EXCLUSIVE; UPDATE t SET v = 2").unwrap();
        let read = observer.rows(None, "SELECT v FROM t", Instant::now() + SHORT);
        assert_fails(read, ErrorKind::Locked, "still locked");
        let committer = thread::spawn(move || {
            thread::sleep(SHORT);
            writer.execute_batch("COMMIT").unwrap();
        });
        assert_eq!(value(&mut observer).unwrap(), "2");
        committer.join().unwrap();
    }

    #[test]
    fn the_bell_wakes_and_stops() {
        let (_directory, writer, mut observer) = observed();
        let bell = observer.bell();
        bell.ring();
        assert_eq!(observer.wait(Instant::now() + LONG).unwrap(), Woken::Rung);
        assert_eq!(observer.wait(Instant::now() + SHORT).unwrap(), Woken::Time);

        writer.execute_batch("BEGIN EXCLUSIVE").unwrap();
        let began = Instant::now();
        let stopper = thread::spawn(move || {
            thread::sleep(SHORT);
            bell.stop();
        });
        assert_fails(value(&mut observer), ErrorKind::Cancelled, "cancelled");
        assert_fails(observer.wait(Instant::now() + LONG), ErrorKind::Cancelled, "cancelled");
        assert_fails(observer.connect(Instant::now() + LONG), ErrorKind::Cancelled, "cancelled");
        assert!(began.elapsed() < LONG);
        stopper.join().unwrap();
    }
}
