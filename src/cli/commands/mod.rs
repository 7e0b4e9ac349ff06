//! One file per command: its options, its calls of the library, and the format of the
//! result.

pub mod apps;
pub mod caches;
pub mod check;
pub mod graph;
pub mod migrate;
pub mod new;
pub mod plan;
pub mod repair;
pub mod report;
pub mod revert;
pub mod status;
pub mod uninstall;
mod uninstall_plan;
mod watch;
