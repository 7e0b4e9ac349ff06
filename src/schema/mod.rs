//! The schema of a database: how two compare.

pub(crate) mod compare;
