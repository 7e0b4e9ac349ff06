//! What every command starts from: the options, the configuration, and from
//! them the database.

use bustard::config::Origin;
use bustard::{Config, Database, Engine, ErrorKind};

use super::failure::Failure;
use super::options::Options;
use super::output::Output;
use super::{document, program, signals};

/// The options and the configuration.
pub struct Context<'a> {
    pub options: &'a Options,
    pub output: &'a Output,
    pub config: Config,
}

/// The database that was chosen, not connected to yet.
pub struct Chosen {
    pub database: Database,
    /// Where its URL came from.
    origin: String,
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

    /// The engine of the database, which is neither connected to nor named.
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

    /// What the library calls the caller's URL is `--database-url` here.
    fn find(&self) -> Result<(Database, String), Failure> {
        let given = self.options.database_url.as_deref();
        if given == Some("") {
            return Err(Failure::usage("--database-url is empty").into());
        }
        match self.config.database(given) {
            Ok((database, Origin::Given)) => Ok((database, "--database-url".to_owned())),
            Ok((database, origin)) => Ok((database, origin.to_string())),
            Err(error) if given.is_some() && error.kind() == ErrorKind::Usage => {
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
