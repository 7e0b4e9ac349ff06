//! `bustard caches`: reads and changes the registry by hand.

use bustard::diagnostic::Action;
use bustard::registry::{self, TrackedCache};
use bustard::{CacheVersion, Database};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::watch;
use crate::cli::context::{Chosen, Context};
use crate::cli::document;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::lines::Lines;
use crate::cli::program;
use crate::cli::table::{Cell, Table, count};

#[derive(Args)]
pub struct Options {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// List the tracked caches (the default)
    List,
    /// Print the version of a cache
    Get {
        /// Name of the cache
        name: String,
    },
    /// Exit with 0 if this is the current version of the cache, 3 if not
    Valid {
        /// Name of the cache
        name: String,
        /// Version that `get` printed
        version: CacheVersion,
    },
    /// Invalidate caches in one transaction
    Invalidate {
        /// Names of the caches
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Invalidate every cache
    InvalidateAll,
    /// Register a cache that belongs to no app
    Register {
        /// Name of the cache
        name: String,
    },
    /// Unregister a cache
    Unregister {
        /// Name of the cache
        name: String,

        /// Unregister the cache even if it belongs to an app, whose migrations rely on it
        #[arg(long)]
        force: bool,
    },
    /// Print a line for each change of a cache version, until interrupted
    Watch,
}

pub fn run(context: &Context<'_>, options: &Options) -> Result<Exit, Failure> {
    let mut chosen = context.database()?;
    match options.command.as_ref().unwrap_or(&Command::List) {
        Command::List => list(context, &mut chosen),
        Command::Get { name } => get(context, &mut chosen, name),
        Command::Valid { name, version } => valid(context, &mut chosen, name, *version),
        Command::Invalidate { names } => {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            change(context, &mut chosen, "invalidated", &names, |database| {
                registry::invalidate(database, &names)
            })
        }
        Command::InvalidateAll => invalidate_all(context, &mut chosen),
        Command::Register { name } => change(context, &mut chosen, "registered", &[name], |database| {
            registry::register(database, name, None)
        }),
        Command::Unregister { name, force } => {
            if !force {
                check_owner(&mut chosen.database, name)?;
            }
            change(context, &mut chosen, "unregistered", &[name], |database| {
                registry::unregister(database, name)
            })
        }
        Command::Watch => watch::run(context, &mut chosen),
    }
}

#[derive(Serialize)]
struct Document<T> {
    database: document::Database,
    #[serde(flatten)]
    rest: T,
}

fn document<T: Serialize>(chosen: &Chosen, rest: T) -> Document<T> {
    Document { database: chosen.document(), rest }
}

#[derive(Serialize)]
struct Caches<'a> {
    caches: Vec<Cache<'a>>,
}

#[derive(Serialize)]
struct Cache<'a> {
    name: &'a str,
    app: Option<&'a str>,
    version: String,
    registered_at: &'a str,
    tables: &'a [String],
}

fn list(context: &Context<'_>, chosen: &mut Chosen) -> Result<Exit, Failure> {
    let caches = registry::list(&mut chosen.database)?;
    let entries = caches.iter().map(|cache| Cache {
        name: &cache.name,
        app: cache.app.as_deref(),
        version: cache.version.to_string(),
        registered_at: &cache.registered_at,
        tables: &cache.tables,
    });
    let document = document(chosen, Caches { caches: entries.collect() });
    context.output.answer(&document, || human(&caches))?;
    Ok(Exit::Done)
}

fn human(caches: &[TrackedCache]) -> Lines {
    if caches.is_empty() {
        return Lines::of("no caches are tracked");
    }
    let mut table = Table::new(&["cache", "app", "version", "registered at", "on"]);
    for cache in caches {
        table.row([
            Cell::new(&cache.name),
            Cell::new(cache.app.as_deref().unwrap_or("-")),
            Cell::new(cache.version),
            Cell::new(&cache.registered_at),
            Cell::new(if cache.tables.is_empty() { "-".to_owned() } else { cache.tables.join(", ") }),
        ]);
    }
    table.render()
}

#[derive(Serialize)]
struct Version<'a> {
    name: &'a str,
    version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid: Option<bool>,
}

fn get(context: &Context<'_>, chosen: &mut Chosen, name: &str) -> Result<Exit, Failure> {
    let version = registry::get_version(&mut chosen.database, name)?.to_string();
    let document = document(chosen, Version { name, version: version.clone(), valid: None });
    context.output.answer(&document, || Lines::of(version))?;
    Ok(Exit::Done)
}

fn valid(
    context: &Context<'_>,
    chosen: &mut Chosen,
    name: &str,
    version: CacheVersion,
) -> Result<Exit, Failure> {
    let valid = registry::is_valid(&mut chosen.database, name, version)?;
    let document = document(chosen, Version { name, version: version.to_string(), valid: Some(valid) });
    context.output.done(&document, || {
        let not = if valid { "" } else { "not " };
        Lines::of(format!("{version} is {not}the current version of {name}"))
    })?;
    Ok(if valid { Exit::Done } else { Exit::No })
}

fn change(
    context: &Context<'_>,
    chosen: &mut Chosen,
    word: &'static str,
    names: &[&str],
    change: impl FnOnce(&mut Database) -> bustard::Result<()>,
) -> Result<Exit, Failure> {
    change(&mut chosen.database)?;
    notify(&mut chosen.database);
    let document = document(chosen, std::collections::BTreeMap::from([(word, names)]));
    context.output.done(&document, || Lines::of(format!("{word} {}", names.join(", "))))?;
    Ok(Exit::Done)
}

/// Returns an error if the cache belongs to an app, because a migration of that app should
/// unregister it.
fn check_owner(database: &mut Database, name: &str) -> Result<(), Failure> {
    let caches = registry::list(database)?;
    let Some(owner) = caches.iter().find(|cache| cache.name == name).and_then(|cache| cache.app.as_ref())
    else {
        return Ok(());
    };
    Err(Failure::usage(format!("the cache {name} belongs to the app {owner}"))
        .help(format!(
            "unregister it in a migration of that app, or pass --force; `{}` then reports it as not registered",
            Action::Status.as_command(&program::name())
        ))
        .into())
}

/// Notifies readers. A failure is only logged: the change is committed, and readers
/// see it at their next poll.
fn notify(database: &mut Database) {
    if let Err(error) = registry::notify(database) {
        log::warn!("readers could not be notified: {error}");
    }
}

#[derive(Serialize)]
struct InvalidatedAll {
    caches_invalidated: Option<usize>,
}

fn invalidate_all(context: &Context<'_>, chosen: &mut Chosen) -> Result<Exit, Failure> {
    registry::invalidate_all(&mut chosen.database)?;
    notify(&mut chosen.database);
    // The caches are counted only for the output, as in the report of a run, so a failure
    // is ignored.
    let caches = registry::list(&mut chosen.database).ok().map(|caches| caches.len());
    context.output.done(
        &document(chosen, InvalidatedAll { caches_invalidated: caches }),
        || match caches {
            Some(number) => Lines::of(format!("invalidated {}", count(number, "cache"))),
            None => Lines::of("invalidated all caches"),
        },
    )?;
    Ok(Exit::Done)
}
