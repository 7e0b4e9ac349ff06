//! Tests without a server: the library and the command on SQLite, and their output.

#[path = "../support/mod.rs"]
mod support;

mod cases;
mod cli_caches;
mod cli_config;
mod cli_graph;
mod cli_help;
mod cli_new;
mod cli_output;
mod cli_status;
mod commands;
mod crates;
mod dependencies;
#[cfg(feature = "testing")]
mod testing;
