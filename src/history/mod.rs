//! What has been done: refinery's history tables, the checksums by which a row and a
//! file recognise each other, and what the database remembers of apps beside them.

mod app_records;
pub(crate) mod app_rows;
mod checksum;
#[cfg(feature = "_engine")]
mod refinery;
mod repeatable_records;
pub(crate) mod repeatable_rows;
mod rows;
#[cfg(feature = "_engine")]
mod store;

/// Where histories are kept.
#[cfg(feature = "_engine")]
pub(crate) const STORE: &dyn Store = &refinery::RefineryTable;

pub use app_records::AppState;
pub(crate) use app_records::{Installed, InstalledApp, Record};
pub(crate) use checksum::{Likeness, body, checksum, likeness, text_checksum};
pub(crate) use repeatable_records::{Current, Installation, Recorded, RecordedRevert, Repeatables};
#[cfg(feature = "_engine")]
pub(crate) use store::{Opened, Store};
