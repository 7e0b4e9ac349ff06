//! Tests the races of caching, each step by step: the order that fails without this
//! library, and the same order with it. Also tests readers on bad input: a store, a
//! clock or a database that was replaced.
//!
//! A child process with a seeded fault proves that a test would notice it.

mod clock;
mod commit;
mod deploy;
mod hostile;
mod network;
mod order;
mod place;
mod registration;
mod restore;
mod standby;
mod transactions;
