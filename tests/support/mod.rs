//! The support code of the integration tests: a private PostgreSQL cluster, a
//! database for each test, hot standbys, PgBouncer, private stores, temporary
//! projects on which the built command runs, and a proxy that counts round trips. It
//! does not use the library.

// Each crate of tests or benchmarks compiles this module and uses its own part of it.
#![allow(dead_code, unused_imports)]

mod binaries;
mod catalog;
mod cluster;
mod database;
mod example;
mod faults;
mod pgbouncer;
mod process;
mod project;
pub mod proxy;
mod random;
mod scene;
mod seeded;
mod servers;
mod snapshot;
mod standby;
mod subject;
mod tls;
mod watchdog;

pub use binaries::{Binaries, unprivileged};
pub use cluster::Cluster;
pub use database::Database;
pub use example::{cargo, example};
pub use faults::{faulty_bustard, faulty_test};
pub use pgbouncer::{PgBouncer, Pooling};
pub use process::{Outcome, PATIENCE, Running, send_signal, wait_until};
pub use project::Project;
pub use random::Random;
pub use scene::{Scene, refused, refused_alike};
pub use seeded::{Replacement, SeededBuild};
pub use servers::Server;
pub use snapshot::{snapshot_settings, transcript};
pub use subject::{Engine, LOCK, State, Subject, server_noticed, working_backend};
pub use tls::Certificates;
