//! Tests stores on real servers: one list of promises for every store, and the behaviour of
//! a store when its server is down, is up again, or speaks another protocol. Redis also behind
//! Sentinels, as a cluster, and with TLS.

mod cluster;
mod conformance;
mod down;
mod hostile;
mod log;
mod peer;
mod refusing;
mod sentinel;
mod subject;
mod tls;
mod unsupported;
