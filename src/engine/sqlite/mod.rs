//! The engine SQLite: the SQL text of its dialect, and the driver that runs this text.

#[cfg(feature = "sqlite")]
mod advice;
mod dialect;
#[cfg(feature = "sqlite")]
pub(crate) mod driver;
#[cfg(feature = "testing")]
pub(crate) mod dump;
mod inspector;
#[cfg(feature = "_engine")]
mod poller;
mod records;
#[cfg(feature = "_sql")]
mod refuse;
mod registry;
mod registry_sql;
mod tracked_tables;

#[cfg(feature = "sqlite")]
pub(crate) use advice::{NEEDS_WRITING, NO_DATABASE, of as advice_of};
pub(crate) use dialect::SQLITE;
pub(crate) use inspector::SqliteInspector;
#[cfg(feature = "_engine")]
pub(crate) use poller::SqlitePoller;
pub(crate) use registry::SqliteRegistry;
