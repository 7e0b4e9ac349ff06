//! Tests stores on real servers: one list of promises for every store, and their
//! behaviour when a server is down, comes back, or speaks another protocol.

mod conformance;
mod down;
mod hostile;
mod log;
mod peer;
mod subject;
