//! The data of Bustard: apps, migrations, operations, history rows and versions.
//!
//! In: values from `source`, `history` and callers. Out: the same values, for `plan` and
//! `run`. Nothing here reads a file or a database.

mod app;
mod blocks;
mod cache_version;
mod database_id;
mod embedded;
mod engine;
mod history;
mod id;
mod key_rule;
mod migration;
mod open_transaction;
mod operation;
mod reading;
mod source_text;
mod width;

pub(crate) use crate::sql::Which;
pub use app::{App, embedded_app};
pub(crate) use app::{AppSource, BUSTARD, LoadedApp};
pub(crate) use blocks::Changed;
pub(crate) use cache_version::Identity;
pub use cache_version::{CacheVersion, KeyVersion};
pub(crate) use database_id::DatabaseId;
pub use embedded::{Builds, Built, File};
pub use engine::Engine;
pub use history::{Applied, History, HistoryTable};
pub use id::{MigrationId, Prefix};
pub(crate) use key_rule::{BUCKETS, ColumnRule, KeyRule};
pub(crate) use migration::Dependency;
pub use migration::Migration;
pub(crate) use open_transaction::Native;
pub use open_transaction::OpenTransaction;
pub use operation::Schema;
pub(crate) use operation::{
    CacheOperation, ChangeCache, Form, Function, Operation, RegisterCache, Sql, Statement, StoredSql,
    UnregisterCache,
};
pub(crate) use reading::{Body, Finding, LoadedMigration, Reading, Section};
pub(crate) use source_text::{SourceText, Sums, seed, sum, text_failed, unreadable, write_lf};
pub use width::Width;
