//! The history of applied migrations: refinery's history tables, their checksums, and the
//! records that Bustard keeps beside these tables.
//!
//! In: migrations, and rows from a session. Out: histories and records as data, and the
//! statements that write them.

mod app_records;
pub(crate) mod app_rows;
mod checksum;
mod difference;
#[cfg(feature = "_engine")]
mod refinery;
mod repeatable_records;
pub(crate) mod repeatable_rows;
mod rows;
#[cfg(feature = "_engine")]
mod store;

/// The kind of history table in use.
#[cfg(feature = "_engine")]
pub(crate) const STORE: &dyn Store = &refinery::RefineryTable;

pub use app_records::AppState;
pub(crate) use app_records::{Evidence, Installed, InstalledApp, Record};
pub(crate) use checksum::{Likeness, body_checksum, checksum, likeness, text_checksum};
pub(crate) use difference::{differences, differs_in_mark, has_text_of};
pub(crate) use repeatable_records::{Current, Installation, Recorded, RecordedRevert, Repeatables};
#[cfg(feature = "_engine")]
pub(crate) use store::{Opened, Store};
