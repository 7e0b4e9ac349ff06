//! SQLite: its SQL as text, and what runs on it.

mod dialect;
#[cfg(feature = "sqlite")]
pub(crate) mod driver;
#[cfg(feature = "_sql")]
mod refuse;

pub(crate) use dialect::SQLITE;
