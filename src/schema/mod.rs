//! The schema of a database.
//!
//! In: two schemas. Out: their difference.

pub(crate) mod compare;
