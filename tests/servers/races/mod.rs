//! Tests the races of caching, each step by step: an order of steps that fails without this
//! library, and the same order with it. Also tests readers with invalid input: a
//! manipulated store, a jumping clock, and a database that was replaced.
//!
//! Some tests run again in a child process with a seeded fault, which they must find.

mod clock;
mod commit;
mod deploy;
mod hostile;
mod network;
mod order;
pub mod place;
mod registration;
mod restore;
mod standby;
mod transactions;
