//! Tests on real servers, which they start: PostgreSQL, PgBouncer, Memcached, Redis.
//! SQLite is tested beside PostgreSQL wherever both must behave alike.
//!
//! All tests run in one process. Each test has a database of its own in one cluster. A test
//! that changes the cluster itself starts a private cluster.

#[path = "../support/mod.rs"]
mod support;

mod apps;
mod asynchronous;
mod asynchronous_runs;
mod bad_database;
mod bad_files;
mod bad_functions;
mod bad_plugins;
mod bad_sql;
mod bad_timing;
mod cases;
mod cli_apps;
mod cli_locked;
mod cli_migrate;
mod cli_signals;
mod cli_uninstall;
mod cli_watch;
mod conformance;
mod connection;
mod forum;
mod forum_migrations;
mod histories;
mod keys;
mod misago;
mod notifications;
mod other_languages;
mod plans;
mod races;
mod readme;
mod refresher;
mod releases;
mod repeatables;
mod round_trips;
mod sql_api;
mod stores;
mod support_works;
mod triggers;
mod uninstall;
mod values;
