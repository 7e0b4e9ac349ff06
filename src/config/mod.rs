//! Reads `bustard.toml`: the database, the apps, the settings of runs, and the settings
//! of cached values. Applications and the command use the same code. Paths are relative
//! to the directory of the file. Without a file, `./migrations` is the app `main`.
//!
//! | key | meaning |
//! |---|---|
//! | `database.url` | the database URL, if neither the caller nor the environment gives one |
//! | `apps[].label`, `.migrations`, `.history` | an app: its label, its directory, its history table |
//! | `migrate.transaction` | `"each"` (default) or `"all"` |
//! | `migrate.lock_wait` | how long to wait for the migration lock: `"15m"` (default) |
//! | `registry.grant` | the roles that may read and invalidate caches; all roles, if absent |
//! | `registry.trust` | roles that may own Bustard's tables and the histories, beside those that may always |
//! | `cache_buster.max_staleness` | how long cache versions are trusted without a successful poll: `"10s"` (default) |
//! | `cache_buster.poll_interval` | how often to poll the database: `"1s"` (default) |
//! | `cache_buster.lookup_timeout` | how long a caller waits for the database when a name must be looked up: `"1s"` (default) |
//! | `stores.*` | where cached values are kept: the store `bustard`, else `default`, else memory; the keys are those of [`StoreSettings`](crate::StoreSettings) |
//!
//! An unknown key is an error, because a misspelt `lock_wait` would silently mean the
//! default.

mod duration;
mod file;
mod secrets;
mod url;

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::DeTable;

pub use self::duration::parse_duration;
use self::file::File;
pub use self::secrets::hide_secrets;
pub use self::url::Origin;
use crate::buster::{
    CacheBuster, CacheBusterBuilder, DEFAULT_LOOKUP_TIMEOUT, DEFAULT_MAX_STALENESS, DEFAULT_POLL_INTERVAL,
};
use crate::diagnostic::{Place, nearest};
use crate::engine::database::Database;
use crate::error::{Error, Result};
use crate::migrator::Migrator;
use crate::model::App;
use crate::plan::TransactionMode;
use crate::regular_file;
use crate::store::Stores;

const DEFAULT: &str = "bustard.toml";

/// The settings of `bustard.toml`. Paths in it are already resolved: they are relative to
/// the working directory.
///
/// ```
/// use bustard::Config;
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("bustard.toml");
/// # std::fs::create_dir(directory.path().join("migrations"))?;
/// # std::fs::write(directory.path().join("migrations/V1__bans.sql"), "-- bustard: register cache bans\n")?;
/// # std::fs::write(&path, "[database]\nurl = \"sqlite:forum.sqlite\"\n[migrate]\nlock_wait = \"90s\"\n")?;
///
/// let config = Config::read(&path)?;
/// # let url = format!("sqlite:{}", directory.path().join("forum.sqlite").display());
/// # let argument = Some(url.as_str());
/// let (mut database, origin) = config.database(argument)?; // `None`: from the environment, `.env` or the file
/// println!("{} (from {origin})", database.display_name());
/// let report = config.migrator().run(&mut database)?;
/// assert!(report.changed());
///
/// let buster = config.cache_buster(&database).start()?;
/// let bans = buster.cache("bans")?;
/// assert!(bans.is_valid(bans.version()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Config {
    path: Option<PathBuf>,
    database_url: Option<String>,
    apps: Vec<App>,
    /// Whether the file names no apps, so that `apps` contains the default app.
    implied: bool,
    transaction: Option<TransactionMode>,
    lock_wait: Option<Duration>,
    grant: Option<Vec<String>>,
    trust: Vec<String>,
    max_staleness: Duration,
    poll_interval: Duration,
    lookup_timeout: Duration,
    stores: Stores,
}

// The URL may hold a password.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("path", &self.path).field("apps", &self.apps).finish_non_exhaustive()
    }
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Usage`](crate::ErrorKind::Usage) if the file cannot be read or
    /// has a mistake. The error has the place of the first mistake.
    pub fn read(path: &Path) -> Result<Self> {
        match regular_file::settings(path) {
            Ok(text) => Config::parse(path, &text),
            Err(refusal) => Err(refusal.into_error("the configuration", path)),
        }
    }

    /// Reads the configuration as the command does: from `path`, if given, else from
    /// `bustard.toml` in the working directory, if it exists. Otherwise returns the
    /// defaults.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`read`](Config::read).
    pub fn load(path: Option<&Path>) -> Result<Self> {
        match path {
            Some(path) => Config::read(path),
            None if regular_file::is_absent(Path::new(DEFAULT)) => {
                Config::from_file(None, "", File::default())
            }
            None => Config::read(Path::new(DEFAULT)),
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self> {
        let file: File = toml::from_str(text).map_err(|error| {
            // The parser quotes values, and a value may be a URL with a password.
            let message = hide_secrets(error.message());
            let help = did_you_mean(&message);
            let error = Error::usage(message.trim_end()).at(Some(place(path, text, error.span())));
            match help {
                Some(help) => error.help(help),
                None => error,
            }
        })?;
        Config::from_file(Some(path), text, file)
    }

    fn from_file(path: Option<&Path>, text: &str, mut file: File) -> Result<Self> {
        // Without a file there are only defaults, which are valid and need no place.
        let at = |span: Option<Range<usize>>| path.map(|path| place(path, text, span));
        let directory = path.and_then(Path::parent).unwrap_or(Path::new(""));
        file.stores.beside(directory);
        for alias in file.stores.aliases() {
            file.stores.get(alias)?.check().map_err(|error| {
                let message = format!("[stores.{}]: {}", hide_secrets(alias), error.message());
                error.with_message(message).at(at(backend(text, alias)))
            })?;
        }
        let (max_staleness, poll_interval) = staleness(&file.cache_buster, at)?;
        let mut apps: Vec<App> = file.apps.into_iter().map(|app| app.beside(directory)).collect();
        let implied = apps.is_empty();
        if implied {
            apps.push(App::directory("main", directory.join("migrations")));
        }
        Ok(Config {
            path: path.map(Path::to_owned),
            database_url: (file.database.url)
                .filter(|url| !url.is_empty())
                .map(|url| url::beside(directory, url)),
            apps,
            implied,
            transaction: file.migrate.transaction.map(Into::into),
            lock_wait: file.migrate.lock_wait.map(Into::into),
            grant: file.registry.grant,
            trust: file.registry.trust,
            max_staleness,
            poll_interval,
            lookup_timeout: file.cache_buster.lookup_timeout.map_or(DEFAULT_LOOKUP_TIMEOUT, Duration::from),
            stores: file.stores,
        })
    }

    /// Returns the path of the file that was read, if any.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Returns the apps. Their migrations are read when a migrator runs.
    pub fn apps(&self) -> &[App] {
        &self.apps
    }

    /// Creates a migrator for these apps, with the settings of `[migrate]` and
    /// `[registry]`. The caller can add more apps, such as plugins whose migrations are
    /// code.
    ///
    /// If the file has no apps, the default app `main` exists only as long as the caller
    /// adds no app.
    pub fn migrator(&self) -> Migrator {
        self.applied_to(Migrator::new())
    }

    /// Applies the configuration to a migrator that may already have apps, such as the
    /// migrator of a host.
    ///
    /// Adds each app of the file, unless the migrator already has an app with its label.
    /// The settings of `[migrate]` and `[registry]` take precedence over those of the
    /// migrator. If the file has no apps, the default app `main` exists only as long as
    /// the migrator has no other app.
    ///
    /// ```
    /// use bustard::{App, Config, Migrator};
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("bustard.toml");
    /// # let forum = "[[apps]]\nlabel = \"forum\"\nmigrations = \"forum\"\n";
    /// # std::fs::write(&path, format!("{forum}[[apps]]\nlabel = \"bans\"\nmigrations = \"bans\"\n"))?;
    ///
    /// let host = Migrator::new().app(App::new("forum"));
    /// let migrator = Config::read(&path)?.applied_to(host); // the file has the apps `forum` and `bans`
    /// let labels: Vec<&str> = migrator.configured().iter().map(App::label).collect();
    /// assert_eq!(labels, ["forum", "bans"]);
    /// assert!(migrator.configured()[0].path().is_none()); // the host's own
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn applied_to(&self, migrator: Migrator) -> Migrator {
        let mut migrator = match (self.implied, self.apps.as_slice()) {
            (true, [app]) => migrator.implied(app.clone()),
            (_, apps) => {
                let theirs = migrator.configured();
                let missing = |app: &&App| theirs.iter().all(|other| other.label() != app.label());
                let added: Vec<App> = apps.iter().filter(missing).cloned().collect();
                migrator.apps(added)
            }
        };
        if let Some(mode) = self.transaction {
            migrator = migrator.transaction(mode);
        }
        if let Some(wait) = self.lock_wait {
            migrator = migrator.lock_wait(wait);
        }
        if let Some(roles) = &self.grant {
            migrator = migrator.grant(roles.clone());
        }
        migrator.trust(&self.trust)
    }

    /// Returns the database, not connected yet, and the origin of its URL: `url`, else
    /// the variable `DATABASE_URL`, else `.env` in the working directory, else the file.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Usage`](crate::ErrorKind::Usage) if none of these gives a URL,
    /// or [`Database::new`] refuses it. There is no default URL, because migrations must
    /// not run on a database that was not chosen.
    pub fn database(&self, url: Option<&str>) -> Result<(Database, Origin)> {
        let (url, origin) = self.database_url(url)?;
        let database = Database::new(&url).map_err(|error| {
            // An error with a place is about another file, such as a service file.
            if origin == Origin::Given || error.place().is_some() {
                return error;
            }
            // The database does not know where its URL came from.
            let message = format!("the database URL from {origin}: {}", error.message());
            error.with_message(message)
        })?;
        Ok((database, origin))
    }

    /// Returns the URL that [`database`](Config::database) uses and its origin, for
    /// connections of the application. The URL may contain a password.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Usage`](crate::ErrorKind::Usage) if there is no URL.
    pub fn database_url(&self, url: Option<&str>) -> Result<(String, Origin)> {
        url::find(url, self)
    }

    /// Creates the builder of a [`CacheBuster`] on this database, with the settings of
    /// `[cache_buster]` and `[stores]`.
    ///
    /// If the feature of a configured store is not compiled in,
    /// [`start`](CacheBusterBuilder::start) returns an error.
    pub fn cache_buster(&self, database: &Database) -> CacheBusterBuilder {
        CacheBuster::on(database)
            .max_staleness(self.max_staleness)
            .poll_interval(self.poll_interval)
            .lookup_timeout(self.lookup_timeout)
            .stores(&self.stores)
    }
}

/// Returns `max_staleness` and `poll_interval`. `max_staleness` must be long enough for a
/// failed poll and the poll after it.
fn staleness(
    section: &file::CacheBuster,
    at: impl Fn(Option<Range<usize>>) -> Option<Place>,
) -> Result<(Duration, Duration)> {
    let read = |given: &Option<Spanned<file::Length>>, default: Duration| match given {
        Some(given) => (Duration::from(*given.get_ref()), Some(given.span())),
        None => (default, None),
    };
    let (staleness, staleness_at) = read(&section.max_staleness, DEFAULT_MAX_STALENESS);
    let (interval, interval_at) = read(&section.poll_interval, DEFAULT_POLL_INTERVAL);
    if interval.is_zero() {
        let help = "write the interval between two polls, such as \"1s\"";
        return Err(Error::usage("poll_interval must not be 0").at(at(interval_at)).help(help));
    }
    if staleness < interval.saturating_mul(2) {
        let message = format!(
            "max_staleness ({}) must be at least twice poll_interval ({})",
            humantime::format_duration(staleness),
            humantime::format_duration(interval)
        );
        return Err(Error::usage(message)
            .at(at(staleness_at.or(interval_at)))
            .help("a single failed poll must not make the versions of all caches unknown"));
    }
    Ok((staleness, interval))
}

/// Finds the value of `backend` of a store in the file.
fn backend(text: &str, alias: &str) -> Option<Range<usize>> {
    let file = DeTable::parse(text).ok()?;
    let (_, stores) = file.get_ref().iter().find(|(key, _)| key.get_ref() == "stores")?;
    Some(stores.get_ref().get(alias)?.get_ref().get("backend")?.span())
}

/// Converts a span to a place without an excerpt, because the line may contain a
/// password.
fn place(path: &Path, text: &str, span: Option<Range<usize>>) -> Place {
    match span.and_then(|span| position(text, span.start)) {
        Some((line, column)) => Place::at(path, line, column),
        None => Place::file(path),
    }
}

/// Returns the line and the column of a byte offset, both from 1. Columns count
/// characters.
fn position(text: &str, offset: usize) -> Option<(u32, u32)> {
    let before = text.get(..offset)?;
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Some((u32::try_from(line).ok()?, u32::try_from(column).ok()?))
}

/// Suggests a name from a message of serde: "unknown field `x`, expected one of `a`,
/// `b`".
fn did_you_mean(message: &str) -> Option<String> {
    message.strip_prefix("unknown ")?;
    let mut names = message.split('`').skip(1).step_by(2);
    let wanted = names.next()?;
    Some(format!("did you mean `{}`?", nearest(wanted, names)?))
}

#[cfg(test)]
mod tests;
