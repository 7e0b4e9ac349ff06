//! The engine PostgreSQL: the SQL text of its dialect, and the driver that runs this text.

#[cfg(feature = "postgres")]
mod advice;
mod dialect;
#[cfg(feature = "postgres")]
pub(crate) mod driver;
mod inspector;
#[cfg(feature = "_engine")]
mod key_snapshot;
mod literal;
#[cfg(feature = "_engine")]
mod poller;
mod records;
#[cfg(feature = "_sql")]
mod refuse;
mod registry;
#[cfg(feature = "postgres")]
pub(crate) mod rights;
mod roles;

#[cfg(feature = "postgres")]
pub(crate) use advice::{INTERRUPTS, Origin, connecting, ident, of as advice_of};
pub(crate) use dialect::POSTGRES;
pub(crate) use inspector::PostgresInspector;
#[cfg(feature = "_engine")]
pub(crate) use poller::PostgresPoller;
pub(crate) use registry::PostgresRegistry;
#[cfg(all(test, feature = "postgres"))]
pub(crate) use registry::overdue;
