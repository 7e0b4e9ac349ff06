//! Rows about how a connection is made.
