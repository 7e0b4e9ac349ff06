//! What every command starts from: the options, the configuration, and from
//! them the migrator and the database.

use bustard::{Database, ErrorKind, Migrator};

use super::arguments::Options;
use super::config::Config;
use super::failure::Failure;
use super::output::Output;
use super::url::{self, Origin};
use super::{document, progress, signals};

/// The options and the configuration.
pub struct Context<'a> {
    pub options: &'a Options,
    pub output: &'a Output,
    pub config: Config,
}

/// The database that was chosen, not connected to yet.
pub struct Chosen {
    pub database: Database,
    origin: Origin,
}

impl Chosen {
    /// What JSON documents say of it.
    pub fn document(&self) -> document::Database {
        document::Database::new(&self.database, &self.origin)
    }
}

impl<'a> Context<'a> {
    pub fn new(options: &'a Options, output: &'a Output) -> Result<Self, Failure> {
        let config = Config::load(options.config.as_deref())?;
        Ok(Context { options, output, config })
    }

    /// A migrator for the configured apps.
    pub fn migrator(&self) -> Migrator {
        let mut migrator = Migrator::new().apps(self.config.apps()).on_event(progress::follow(self.output));
        if let Some(mode) = self.config.transaction {
            migrator = migrator.transaction(mode);
        }
        if let Some(wait) = self.config.lock_wait {
            migrator = migrator.lock_wait(wait);
        }
        if let Some(roles) = &self.config.grant {
            migrator = migrator.grant(roles.clone());
        }
        migrator
    }

    /// The database, which has been named to the user and is rolled back when a
    /// signal comes.
    pub fn database(&self) -> Result<Chosen, Failure> {
        self.choose("", false)
    }

    /// The same; a SQLite file that is not there will be made.
    pub fn database_to_create(&self) -> Result<Chosen, Failure> {
        self.choose("", true)
    }

    /// The same, named in an SQL comment.
    pub fn database_in_sql(&self) -> Result<Chosen, Failure> {
        self.choose("-- ", false)
    }

    fn choose(&self, prefix: &str, create: bool) -> Result<Chosen, Failure> {
        let (url, origin) = url::find(self.options.database_url.as_deref(), &self.config)?;
        let database = Database::new(&url).map_err(|error| match error.kind() {
            // Which of the four places to look at is not the library's to know.
            ErrorKind::Usage => {
                Failure::usage(format!("the database URL from {origin}: {}", error.message()))
                    .help(error.help_text().unwrap_or_default())
                    .into()
            }
            _ => Failure::Library(error),
        })?;
        let database = database.create_missing(create);
        self.output.database(prefix, &database, &origin)?;
        signals::watch(database.canceller());
        Ok(Chosen { database, origin })
    }
}
