//! Tests how a connection is made.

mod settings;
