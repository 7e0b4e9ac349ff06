//! Schema migrations in which caches are part of the schema.
#![deny(missing_docs)]
#![forbid(unsafe_code)]
// Without an engine there is data and nothing that runs on it.
#![cfg_attr(not(any(feature = "postgres", feature = "sqlite")), allow(dead_code, reason = "no engine"))]

mod app;
mod engine;
mod error;
mod failpoint;
mod graph;
mod history;
mod migration;
mod migrator;
mod operation;
mod plan;
pub mod registry;
mod source;
mod version;

pub use app::App;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use engine::database::{Canceller, Database};
pub use engine::{Connection, Engine, Executor, OpenTransaction};
pub use error::{Error, ErrorKind, Place, Problem, Result};
pub use migration::Migration;
pub use migrator::{
    Direction, Done, Event, How, MigrationStatus, Migrator, Plan, Report, Status, Step, TransactionMode,
    UnregisteredCache,
};
pub use operation::Schema;
pub use plan::{Revert, State};
pub use sea_query;
pub use version::{CacheVersion, MigrationId, Prefix};
