//! Stores: one list that every store must pass on real servers, and what they
//! do when a server is down, comes back, or is no such server at all.

mod conformance;
mod down;
mod hostile;
mod log;
mod peer;
mod subject;
