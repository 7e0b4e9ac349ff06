//! PostgreSQL: its SQL as text, and what runs on it.

mod dialect;
#[cfg(feature = "postgres")]
pub(crate) mod driver;
#[cfg(feature = "_sql")]
mod refuse;

pub(crate) use dialect::POSTGRES;
