//! Uninstalling apps: what it would do, and doing it.

mod data;

pub use data::{Dependant, DroppedTable, ForeignKey, Uninstall, UninstallPlan};
