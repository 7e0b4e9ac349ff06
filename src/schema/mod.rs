//! The schema of a database: what is there, and how two compare.

#[cfg(feature = "testing")]
pub(crate) mod dump;
pub(crate) mod inspect;
