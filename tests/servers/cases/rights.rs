//! Rows about who owns and who may change our tables.
