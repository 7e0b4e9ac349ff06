//! Tests how a connection is made.
