//! `bustard.toml`: which database, which apps, how to migrate them, and how
//! cached values are kept current. An application and the command read it the
//! same way. File paths in it are relative to it; without one, `./migrations` is
//! the app `main`.
//!
//! | key | meaning |
//! |---|---|
//! | `database.url` | used where neither the caller nor the environment names one |
//! | `apps[].label`, `.migrations`, `.history` | an app, its directory, its history table |
//! | `migrate.transaction` | `"each"` (default) or `"all"` |
//! | `migrate.lock_wait` | a duration such as `"15m"` (default) |
//! | `registry.grant` | roles that may read and invalidate; everybody, if absent |
//! | `cache_buster.max_staleness` | after this long without a look at the database, the versions of caches are unknown: `"10s"` (default) |
//! | `cache_buster.poll_interval` | how long until the database is looked at without a notification: `"1s"` (default) |
//! | `stores.*` | where cached values are kept: in the store `bustard`, else `default`, else memory; keys as in [`StoreSettings`](crate::StoreSettings) |
//!
//! Unknown keys are errors: a misspelt `lock_wait` must not mean the default.

mod duration;
mod file;
mod secrets;
mod url;

use std::fmt;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::DeTable;

pub use self::duration::parse_duration;
use self::file::File;
pub use self::secrets::hide_secrets;
pub use self::url::Origin;
use crate::buster::{CacheBuster, CacheBusterBuilder, DEFAULT_MAX_STALENESS, DEFAULT_POLL_INTERVAL};
use crate::diagnostic::{Place, nearest};
use crate::engine::database::Database;
use crate::error::{Error, Result};
use crate::migrator::Migrator;
use crate::model::App;
use crate::plan::TransactionMode;
use crate::store::Stores;

const DEFAULT: &str = "bustard.toml";

/// What `bustard.toml` says, with all paths as the working directory sees them.
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
/// let (mut database, origin) = config.database(argument)?; // `None`: by the rules
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
    /// Whether the file names no apps, so that `apps` is the one by default.
    implied: bool,
    transaction: Option<TransactionMode>,
    lock_wait: Option<Duration>,
    grant: Option<Vec<String>>,
    max_staleness: Duration,
    poll_interval: Duration,
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
    /// [`ErrorKind::Usage`](crate::ErrorKind::Usage) with the place of the first
    /// mistake, also if there is no such file.
    pub fn read(path: &Path) -> Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => Config::parse(path, &text),
            Err(error) => Err(Error::usage(format!("the configuration cannot be read: {error}"))
                .at(Some(Place::file(path)))
                .caused_by(error)),
        }
    }

    /// Reads what the command reads: this file, or else `bustard.toml` in the
    /// working directory if it is there, or else none.
    ///
    /// # Errors
    ///
    /// As for [`read`](Config::read).
    pub fn load(path: Option<&Path>) -> Result<Self> {
        let absent = |path: &Path| path.metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound);
        match path {
            Some(path) => Config::read(path),
            None if absent(Path::new(DEFAULT)) => Config::from_file(None, "", File::default()),
            None => Config::read(Path::new(DEFAULT)),
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self> {
        let file: File = toml::from_str(text).map_err(|error| {
            // The parser quotes values, and one of them may be the URL.
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

    fn from_file(path: Option<&Path>, text: &str, file: File) -> Result<Self> {
        // Without a file there is nothing in it that could be wrong.
        let at = |span: Option<Range<usize>>| path.map(|path| place(path, text, span));
        let directory = path.and_then(Path::parent).unwrap_or(Path::new(""));
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
            max_staleness,
            poll_interval,
            stores: file.stores,
        })
    }

    /// The file that was read, if there was one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The apps, whose migrations are read when the migrator runs.
    pub fn apps(&self) -> &[App] {
        &self.apps
    }

    /// A migrator for these apps, as `[migrate]` and `[registry]` have it. More
    /// apps can be added, such as plugins that bring their migrations in code.
    pub fn migrator(&self) -> Migrator {
        self.applied_to(Migrator::new())
    }

    /// The same for a migrator that has apps already, as a host's own command
    /// has: of the file's apps it gets those whose labels it does not have yet.
    /// What `[migrate]` and `[registry]` say wins over what it was told in code.
    /// A file without apps adds none, unless there are none at all.
    ///
    /// ```
    /// use bustard::{App, Config, Migrator};
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("bustard.toml");
    /// # let forum = "[[apps]]\nlabel = \"forum\"\nmigrations = \"forum\"\n";
    /// # std::fs::write(&path, format!("{forum}[[apps]]\nlabel = \"bans\"\nmigrations = \"bans\"\n"))?;
    ///
    /// let host = Migrator::new().app(App::new("forum"));
    /// let migrator = Config::read(&path)?.applied_to(host); // which names `forum` and `bans`
    /// let labels: Vec<&str> = migrator.configured().iter().map(App::label).collect();
    /// assert_eq!(labels, ["forum", "bans"]);
    /// assert!(migrator.configured()[0].path().is_none()); // the host's own
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn applied_to(&self, migrator: Migrator) -> Migrator {
        let theirs = migrator.configured();
        let missing = |app: &&App| match self.implied {
            true => theirs.is_empty(),
            false => theirs.iter().all(|other| other.label() != app.label()),
        };
        let added: Vec<App> = self.apps.iter().filter(missing).cloned().collect();
        let mut migrator = migrator.apps(added);
        if let Some(mode) = self.transaction {
            migrator = migrator.transaction(mode);
        }
        if let Some(wait) = self.lock_wait {
            migrator = migrator.lock_wait(wait);
        }
        if let Some(roles) = &self.grant {
            migrator = migrator.grant(roles.clone());
        }
        migrator
    }

    /// The database, not connected to yet, and where its URL came from: `url`,
    /// else the variable `DATABASE_URL`, else `.env` in the working directory,
    /// else the file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`](crate::ErrorKind::Usage) if none of these names one
    /// (there is no default, since nobody's migrations should succeed against a
    /// database that nobody meant), or [`Database::new`] refuses it.
    pub fn database(&self, url: Option<&str>) -> Result<(Database, Origin)> {
        let (url, origin) = self.database_url(url)?;
        let database = Database::new(&url).map_err(|error| {
            if origin == Origin::Given {
                return error;
            }
            // Which of the places to look at is not the database's to know.
            let message = format!("the database URL from {origin}: {}", error.message());
            error.with_message(message)
        })?;
        Ok((database, origin))
    }

    /// The URL of that [`database`](Config::database), for connections of the
    /// application's own, and where it came from. It may hold a password.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`](crate::ErrorKind::Usage) if no place has one.
    pub fn database_url(&self, url: Option<&str>) -> Result<(String, Origin)> {
        url::find(url, self)
    }

    /// A [`CacheBuster`] on this database, still to be started, as
    /// `[cache_buster]` and `[stores]` have it.
    ///
    /// A store whose feature is not compiled in is an error of
    /// [`start`](CacheBusterBuilder::start).
    pub fn cache_buster(&self, database: &Database) -> CacheBusterBuilder {
        CacheBuster::on(database)
            .max_staleness(self.max_staleness)
            .poll_interval(self.poll_interval)
            .stores(&self.stores)
    }
}

/// `max_staleness` and `poll_interval`, which must leave room for a poll that
/// fails and another one.
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
        let help = "write how long to wait between two looks at the database, as in \"1s\"";
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
            .help("then one poll may fail without making the versions of all caches unknown"));
    }
    Ok((staleness, interval))
}

/// Where the file says which backend a store has.
fn backend(text: &str, alias: &str) -> Option<Range<usize>> {
    let file = DeTable::parse(text).ok()?;
    let (_, stores) = file.get_ref().iter().find(|(key, _)| key.get_ref() == "stores")?;
    Some(stores.get_ref().get(alias)?.get_ref().get("backend")?.span())
}

/// The line itself is never shown: it may hold the database's password.
fn place(path: &Path, text: &str, span: Option<Range<usize>>) -> Place {
    match span.and_then(|span| position(text, span.start)) {
        Some((line, column)) => Place::at(path, line, column),
        None => Place::file(path),
    }
}

/// Line and column of a byte offset, both counted from 1, columns in characters.
fn position(text: &str, offset: usize) -> Option<(u32, u32)> {
    let before = text.get(..offset)?;
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Some((u32::try_from(line).ok()?, u32::try_from(column).ok()?))
}

/// Serde lists what it knows: "unknown field `x`, expected one of `a`, `b`".
fn did_you_mean(message: &str) -> Option<String> {
    message.strip_prefix("unknown ")?;
    let mut names = message.split('`').skip(1).step_by(2);
    let wanted = names.next()?;
    Some(format!("did you mean `{}`?", nearest(wanted, names)?))
}

#[cfg(test)]
mod tests;
