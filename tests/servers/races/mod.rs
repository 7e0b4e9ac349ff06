//! The races of caching, each taken by hand step by step: what goes wrong in the
//! order that everybody tries first, and that it does not go wrong here. And what a
//! reader makes of bad input: a store, a clock or a database that is not what it was.
//!
//! A child process with a seeded fault shows where a test would notice it.

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
