//! Stores: one list that every store must pass on real servers, and what they
//! do when a server is down, comes back, or is no such server at all.
#![cfg(all(feature = "memcached", feature = "redis"))]

mod support;

mod stores {
    mod conformance;
    mod down;
    mod hostile;
    mod log;
    mod peer;
    mod subject;
}
