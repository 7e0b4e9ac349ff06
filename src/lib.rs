//! Schema migrations in which caches are part of the schema.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod app;
mod engine;
mod error;
mod history;
mod migration;
mod migrator;
mod operation;
pub mod registry;
mod source;
mod version;

pub use app::App;
pub use engine::{Connection, Engine, Executor, OpenTransaction};
pub use error::{Error, ErrorKind, Place, Problem, Result};
pub use migration::Migration;
pub use operation::Schema;
pub use sea_query;
pub use version::{CacheVersion, MigrationId, Prefix};
