//! The migrator.

mod report;

pub use report::{
    Direction, Done, How, MigrationStatus, Plan, Report, State, Status, Step, UnregisteredCache,
};
