//! The context of a command: global options, the configuration, and the database
//! that they select.

use bustard::config::Origin;
use bustard::{Config, Database, Engine, ErrorKind};

use super::failure::Failure;
use super::options::Options;
use super::output::Output;
use super::{document, program, signals};

/// The global options, the output and the configuration of this invocation.
pub struct Context<'a> {
    pub options: &'a Options,
    pub output: &'a Output,
    pub config: Config,
}

/// The selected database, not connected yet.
pub struct Chosen {
    pub database: Database,
    /// The origin of the URL, for messages.
    origin: String,
}

impl Chosen {
    /// Returns the description of the database for JSON documents.
    pub fn document(&self) -> document::Database {
        document::Database::new(&self.database, &self.origin)
    }
}

impl<'a> Context<'a> {
    pub fn new(options: &'a Options, output: &'a Output) -> Result<Self, Failure> {
        let config = Config::load(options.config.as_deref())?;
        Ok(Context { options, output, config })
    }

    /// Selects the database and prints its name. From then on, a signal cancels the
    /// running statement, so that its transaction rolls back.
    pub fn database(&self) -> Result<Chosen, Failure> {
        self.choose("", false)
    }

    /// Does the same as [`database`](Self::database). A missing SQLite file will be
    /// created.
    pub fn database_to_create(&self) -> Result<Chosen, Failure> {
        self.choose("", true)
    }

    /// Does the same as [`database`](Self::database), but prints the name as an SQL
    /// comment.
    pub fn database_in_sql(&self) -> Result<Chosen, Failure> {
        self.choose("-- ", false)
    }

    /// Returns the engine of the selected database, without printing its name.
    pub fn engine(&self) -> Result<Engine, Failure> {
        Ok(self.find()?.0.engine())
    }

    fn choose(&self, prefix: &str, create: bool) -> Result<Chosen, Failure> {
        let (database, origin) = self.find()?;
        let database = database.create_missing(create);
        self.output.database(prefix, &database, &origin)?;
        signals::watch(database.canceller());
        Ok(Chosen { database, origin })
    }

    /// Finds the database and the origin of its URL. The library reports a URL from
    /// `--database-url` as given by the caller, so this method names the option instead.
    fn find(&self) -> Result<(Database, String), Failure> {
        let given = self.options.database_url.as_deref();
        if given == Some("") {
            return Err(Failure::usage("--database-url is empty").into());
        }
        match self.config.database(given) {
            Ok((database, Origin::Given)) => Ok((database, "--database-url".to_owned())),
            Ok((database, origin)) => Ok((database, origin.to_string())),
            // An error with a place is about another file, such as a service file.
            Err(error) if given.is_some() && error.kind() == ErrorKind::Usage && error.place().is_none() => {
                Err(Failure::usage(format!("the database URL from --database-url: {}", error.message()))
                    .help(
                        error
                            .advice()
                            .map_or_else(String::new, |advice| advice.for_command(&program::name())),
                    )
                    .into())
            }
            Err(error) => Err(error.into()),
        }
    }
}
