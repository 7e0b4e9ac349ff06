//! Schema migrations in which caches are part of the schema.
//!
//! A migration registers a *tracked cache* beside its DDL; both commit together,
//! and every transaction that changes anything ends by invalidating every tracked
//! cache. An application keeps cached values under the version that it read before
//! the data, and uses them while that version is the current one. A
//! [`CacheBuster`] knows which one is, without asking the database.
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
//! let version = settings.version()?; // before the data is read
//! assert!(settings.is_valid(version));
//!
//! // The next release brings another migration: what is cached is out of date.
//! let index = Migration::new().sql("CREATE INDEX settings_value ON settings (value)");
//! Migrator::new().app(app.migration("V2__index_settings", index)).run(&mut connection)?;
//! buster.notify()?; // or within the poll interval
//! assert!(!settings.is_valid(version));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is where
//!
//! | | |
//! |---|---|
//! | [`App`], [`Migration`], [`Schema`] | what is to be done: from directories, from the binary ([`app!`]), from refinery, or built in code |
//! | [`Migrator`] | runs, plans, reverts, repairs; its [`Report`], [`Plan`], [`Status`] and [`MigrationGraph`] are plain data |
//! | [`Uninstall`], [`AppStatus`] | apps that go, are disabled or enabled: [`Migrator::plan_uninstall`] says what that would take along, in an [`UninstallPlan`] |
//! | [`Database`] | a connection by URL; `postgres::Client` and `rusqlite::Connection` do as well: [`Connection`] |
//! | [`Config`] | `bustard.toml`, read as the command reads it |
//! | [`cli`] | the command for an application's own binary, with the apps that are compiled into it |
//! | [`CacheBuster`] | the reading side: versions kept current in this process, and [`commit`](CacheBuster::commit); its [`CacheBusterBuilder`] |
//! | [`Cache`], [`Values`] | the handle of one cache, and what is kept under its version |
//! | [`Change`] | what the reading side sees, for who follows it |
//! | [`StoreSettings`], [`Stores`] | where cached values are kept: a [`Store`] |
//! | [`registry`] | tracked caches in the database itself: every read is a query |
//! | [`Error`] | every failure, with its [`ErrorKind`] and its [`Place`] |
//!
//! How migration files are written, the command and its configuration are in the
//! [README](https://github.com/bustard-rs/bustard#readme).
//!
//! # Features
//!
//! | feature | default | brings |
//! |---|---|---|
//! | `cli` | yes | the command `bustard`, and [`cli::run`] for an application's own; libraries do without |
//! | `config` | yes | [`Config`]: `bustard.toml`, `DATABASE_URL` and `.env`; part of `cli` |
//! | `postgres` | yes | the engine PostgreSQL, with TLS by rustls |
//! | `sqlite` | yes | the engine SQLite, compiled in |
//! | `tokio` | no | [`Migrator::run_async`] and [`registry::asynchronous`], for applications on Tokio |
//! | `int8-versions` | yes | refinery's 64-bit versions in new history tables |
//! | `memcached` | no | the store Memcached |
//! | `redis` | no | the store Redis, or Valkey |
//! | `build` | no | [`build`](build/index.html): embedding migrations, for build scripts |
//! | `testing` | no | [`testing`]: a database for the tests of who writes migrations, and what to assert of it; failpoints, for Bustard's own tests |
#![deny(missing_docs)]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::unwrap_used))]
// Without an engine there is data and nothing that runs on it.
#![cfg_attr(not(feature = "_engine"), allow(dead_code, unused_imports, reason = "no engine"))]

// The command names the library as everybody else does.
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
#[cfg(feature = "_engine")]
mod graph;
mod history;
#[cfg(feature = "_engine")]
mod migrator;
mod model;
#[cfg(feature = "_engine")]
mod plan;
pub mod registry;
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

#[cfg(feature = "_engine")]
pub use buster::{
    Cache, CacheBuster, CacheBusterBuilder, Change, DEFAULT_MAX_STALENESS, DEFAULT_POLL_INTERVAL, Values,
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
pub use graph::Asked;
pub use history::AppState;
#[cfg(feature = "_engine")]
pub use migrator::{GraphEdge, GraphMigration, MigrationGraph, Migrator};
pub use model::{App, CacheVersion, Engine, Migration, MigrationId, OpenTransaction, Prefix, Schema};
#[cfg(feature = "_engine")]
pub use plan::{Revert, TransactionMode};
#[cfg(feature = "_engine")]
pub use report::{
    AppChange, AppStatus, Dependant, Direction, DroppedTable, ForeignKey, How, MigrationStatus, Plan,
    PlannedStep, Report, State, Status, StepReport, Uninstall, UninstallPlan, UnregisteredCache,
};
#[cfg(feature = "_engine")]
pub use run::Event;
pub use sea_query;
#[cfg(feature = "_engine")]
pub use store::{Store, StoreSettings, Stores};

#[cfg(doctest)]
#[cfg(all(feature = "config", feature = "postgres", feature = "sqlite", feature = "tokio"))]
#[doc = include_str!("../README.md")]
struct Readme;
