//! A statement that waits to be sent.

use crate::model::Statement;

/// A statement to send, and the migration that it belongs to.
pub(super) struct Queued {
    pub statement: Statement,
    pub migration: Option<(String, String)>,
}
