//! A forum that caches the permissions of its users in a store, and uses a cached value as
//! long as its version is current. Run it from the root of the repository:
//!
//! ```sh
//! cargo run --example forum -- serve       # in one terminal
//! cargo run --example forum -- moderate    # in another
//! ```
//!
//! With `DATABASE_URL=postgres://…`, both programs use a server. The program also has all
//! subcommands of `bustard`, which then include migrations in Rust:
//!
//! ```sh
//! cargo run --example forum -- --config examples/forum/bustard.toml status
//! ```

mod database;
mod moderate;
mod serve;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use bustard::{CacheBuster, Config, Migrator};
use database::Connection;

type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const USAGE: &str = "\
usage: forum serve [SECONDS]
       forum moderate                                   until Ctrl-C
       forum moderate promote|demote|ban|unban USER     once
       forum migrate, status, caches, …                 see forum help";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if !matches!(arguments.first(), None | Some(&("serve" | "moderate"))) {
        return bustard::cli::run(migrator());
    }
    // The log shows temporary failures, such as a store that is down. They are not errors.
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result {
    match arguments {
        ["serve"] => serve::run(&Forum::configured()?, u64::MAX),
        ["serve", seconds] => serve::run(&Forum::configured()?, seconds.parse()?),
        ["moderate"] => moderate::run(&Forum::configured()?),
        ["moderate", action, user] => moderate::once(&Forum::configured()?, action, user),
        _ => Err(USAGE.into()),
    }
}

/// Returns a migrator with the app that is compiled in: the plugin that is a crate.
/// `bustard.toml` adds the apps that consist of SQL files.
fn migrator() -> Migrator {
    Migrator::new().app(forum_reputation::migrations())
}

/// The settings of both programs.
struct Forum {
    config: Config,
    url: String,
}

impl Forum {
    fn configured() -> Result<Self> {
        let config = Config::load(Some(Path::new("examples/forum/bustard.toml")))?;
        let (url, _) = config.database_url(None)?;
        Ok(Forum { config, url })
    }

    /// Applies pending migrations. If several processes start at once, each migration is
    /// applied once.
    fn migrate(&self) -> Result {
        let (mut database, origin) = self.config.database(None)?;
        println!("{} (from {origin})", database.display_name());
        let report = self.config.applied_to(migrator()).run(&mut database)?;
        // The first run also creates the tables of the app `bustard`.
        let applied = report.steps.iter().filter(|step| step.app != "bustard").count();
        println!("{applied} migrations applied");
        Ok(())
    }

    /// Starts a `CacheBuster`, which keeps the versions of the forum's caches current.
    fn cache_buster(&self) -> Result<CacheBuster> {
        let (database, _) = self.config.database(None)?;
        Ok(self.config.cache_buster(&database).start()?)
    }

    /// Opens a connection for the forum's own queries.
    fn connect(&self) -> Result<Connection> {
        Connection::open(&self.url)
    }
}
