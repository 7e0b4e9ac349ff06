//! Schema migrations in which caches are part of the schema.
//!
//! A migration registers a *tracked cache* beside its DDL, and both commit together. Every
//! transaction of a run that changes anything also invalidates every tracked cache. An
//! application reads the version of a cache before the data, stores the cached value under
//! that version, and uses it as long as the version is current. A [`CacheBuster`] keeps the
//! current versions in the process, so that checking a version needs no query.
//!
//! ```
//! use bustard::{App, CacheBuster, Migration, Migrator};
//!
//! # let directory = tempfile::tempdir()?;
//! # let file = directory.path().join("app.sqlite");
//! # let url = format!("sqlite:{}", file.display());
//! let mut connection = rusqlite::Connection::open(&file)?;
//! let create = Migration::new()
//!     .sql("CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
//!     .register_cache("settings");
//! let app = App::new("main").migration("V1__create_settings", create);
//! Migrator::new().app(app.clone()).run(&mut connection)?;
//!
//! let buster = CacheBuster::connect(&url)?;
//! let settings = buster.cache("settings")?;
//! let version = settings.version()?; // read the version before the data
//! assert!(settings.is_valid(version));
//!
//! // The next release has another migration, which invalidates the cached values.
//! let index = Migration::new().sql("CREATE INDEX settings_value ON settings (value)");
//! Migrator::new().app(app.migration("V2__index_settings", index)).run(&mut connection)?;
//! buster.notify()?; // or within the poll interval
//! assert!(!settings.is_valid(version));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Contents
//!
//! | item | purpose |
//! |---|---|
//! | [`App`], [`Migration`], [`Schema`] | migrations: from directories, from the binary ([`app!`]), from refinery, or built in code |
//! | [`Migrator`] | plans, applies, reverts and repairs migrations; returns plain data: [`Report`], [`Plan`], [`Status`], [`MigrationGraph`] |
//! | [`Uninstall`], [`AppStatus`](report::AppStatus) | uninstalling, disabling and enabling apps; [`Migrator::plan_uninstall`] returns the effects as an [`UninstallPlan`] |
//! | [`Database`] | a connection by URL; a `postgres::Client` or `rusqlite::Connection` works too, see [`Connection`] |
//! | [`Config`] | the file `bustard.toml`, which the command also reads |
//! | [`cli`] | the command for an application's own binary, with the apps that are compiled in |
//! | [`CacheBuster`], [`CacheBusterBuilder`] | the reading side: current versions in this process, and [`commit`](CacheBuster::commit) |
//! | [`Cache`], [`Values`], [`Memo`] | the handle of one cache, and the values that are kept under its version |
//! | [`Change`] | a change of a version, for listeners |
//! | [`StoreSettings`], [`Stores`] | the settings of a [`Store`] for cached values |
//! | [`registry`] | tracked caches in the database: every call is a query |
//! | [`Error`] | every failure, with its [`ErrorKind`] and its [`Place`] |
//!
//! The [README](https://github.com/bustard-rs/bustard#readme) describes migration files,
//! the command and its configuration.
//!
//! # Features
//!
//! | feature | default | provides |
//! |---|---|---|
//! | `cli` | yes | the command `bustard`, and [`cli::run`] to include the command in an application's binary; libraries do not need it |
//! | `config` | yes | [`Config`]: `bustard.toml`, `DATABASE_URL` and `.env`; part of `cli` |
//! | `postgres` | yes | the engine PostgreSQL, with TLS by rustls |
//! | `sqlite` | yes | the engine SQLite, compiled in |
//! | `tokio` | no | [`Migrator::run_async`] and [`registry::asynchronous`], for applications on Tokio |
//! | `int8-versions` | yes | refinery's 64-bit versions in new history tables |
//! | `memcached` | no | the store Memcached |
//! | `redis` | no | the store Redis, or Valkey |
//! | `metrics` | no | metrics of cached values and of the refresher, by the crate `metrics` |
//! | `build` | no | [`build`](build/index.html): embedding migrations, for build scripts |
//! | `testing` | no | [`testing`]: a database and assertions for tests of migrations, and a [`CacheBuster`] without a database; failpoints for Bustard's own tests |
#![deny(missing_docs)]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::unwrap_used))]
// The code for the SQL text of both engines is always compiled, because a build script
// checks migrations even for engines whose drivers it does not compile.
#![cfg_attr(
    not(all(feature = "postgres", feature = "sqlite")),
    allow(dead_code, unused_imports, reason = "an engine is missing")
)]

// The command's code uses the library by its public name.
#[cfg(all(feature = "cli", feature = "_engine"))]
extern crate self as bustard;

#[cfg(feature = "build")]
pub mod build;
#[cfg(feature = "_engine")]
mod buster;
#[cfg(all(feature = "cli", feature = "_engine"))]
pub mod cli;
#[cfg(all(feature = "config", feature = "_engine"))]
pub mod config;
pub mod diagnostic;
#[doc(hidden)]
pub mod embedded;
mod engine;
mod error;
mod failpoint;
#[cfg(test)]
mod fuzz;
#[cfg(feature = "_engine")]
mod graph;
mod history;
#[cfg(feature = "_engine")]
mod migrator;
mod model;
#[cfg(feature = "_engine")]
mod plan;
pub mod registry;
#[cfg(feature = "_sql")]
mod regular_file;
#[cfg(feature = "_engine")]
pub mod report;
#[cfg(feature = "_engine")]
mod run;
#[cfg(feature = "testing")]
mod schema;
#[cfg(any(feature = "_engine", feature = "build"))]
mod source;
mod sql;
#[cfg(feature = "_engine")]
mod store;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(any(feature = "postgres", all(feature = "redis", feature = "_engine")))]
mod tls;

#[cfg(feature = "tokio")]
pub use buster::{AsyncMemo, ValuesIn};
#[cfg(feature = "_engine")]
pub use buster::{
    Cache, CacheBuster, CacheBusterBuilder, CacheKey, CacheStats, Change, Codec, DEFAULT_LOOKUP_TIMEOUT,
    DEFAULT_MAX_STALENESS, DEFAULT_POLL_INTERVAL, KeyedCache, LoadError, Memo, Stamp, ValueKey, Values,
};
#[cfg(all(feature = "config", feature = "_engine"))]
pub use config::Config;
pub use diagnostic::{Diagnostic, Place};
#[cfg(feature = "_engine")]
pub use engine::database::{Canceller, Database};
#[cfg(feature = "tokio")]
pub use engine::{AsyncExecutor, CommitAsync};
pub use engine::{Commit, Connection, Executor};
pub use error::{Error, ErrorKind, ErrorReport, Result};
#[cfg(feature = "_engine")]
pub use graph::DependencyKind;
pub use history::AppState;
#[cfg(feature = "_engine")]
pub use migrator::{GraphEdge, GraphMigration, MigrationGraph, Migrator};
pub use model::{
    App, CacheVersion, Engine, KeyVersion, Migration, MigrationId, OpenTransaction, Prefix, Schema,
};
#[cfg(feature = "_engine")]
pub use plan::{Repair, Revert, TransactionMode};
#[cfg(feature = "_engine")]
pub use report::{Plan, Report, Status, Uninstall, UninstallPlan};
#[cfg(feature = "_engine")]
pub use run::Event;
pub use sea_query;
#[cfg(feature = "_engine")]
pub use store::{Store, StoreSettings, Stores};

#[cfg(doctest)]
#[cfg(all(feature = "config", feature = "postgres", feature = "sqlite", feature = "tokio"))]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(doctest)]
#[cfg(feature = "postgres")]
#[doc = include_str!("../docs/keys.md")]
struct Keys;

#[cfg(doctest)]
#[cfg(feature = "tokio")]
#[doc = include_str!("../docs/cancellation.md")]
struct Cancellation;

#[cfg(doctest)]
#[cfg(all(feature = "testing", feature = "tokio"))]
#[doc = include_str!("../docs/testing.md")]
struct Testing;
