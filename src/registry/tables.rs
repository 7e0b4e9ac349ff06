//! The tables whose writes invalidate a cache, and their missing triggers.
//!
//! In: rows of the registry. Out: a `MissingTrigger` for each table that has changed since
//! its cache was registered.

use crate::diagnostic::{Code, Diagnostic};
use crate::engine::Row;
use crate::sql::Dialect;

/// A table of a registered cache whose triggers are missing, or that was renamed or
/// dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingTrigger {
    /// The cache's name.
    pub cache: String,
    /// The table or partition, on PostgreSQL with its schema.
    pub table: String,
    /// The change.
    pub why: MissingTriggerCause,
}

/// A change of the table of a registered cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissingTriggerCause {
    /// The table's triggers are missing, because the table was rebuilt or swapped, or is a
    /// new partition. Until the next run, writes to the table invalidate nothing.
    Triggers,
    /// Triggers of the table are disabled. Until the next run, its writes may invalidate
    /// nothing.
    Disabled,
    /// A trigger of the table, or the function that it calls, is not the one that Bustard has
    /// written. Until the next run, writes to the table may invalidate nothing.
    Edited,
    /// The table was renamed, and its triggers work. The next run records the new name.
    Renamed,
    /// The table no longer exists. No session can write to it, so nothing has to be
    /// restored.
    Gone,
    /// The table is a foreign table that became a partition or child of a registered table.
    /// Writes to the foreign table do not invalidate the cache, and no run can change that.
    Foreign,
    /// A column of the key was renamed or dropped, or has another type or collation. Every
    /// write to the table invalidates all keys, until a migration changes the cache's tables.
    Keys,
}

impl MissingTrigger {
    /// Returns whether the next run restores the triggers or the name.
    pub fn is_repairable(&self) -> bool {
        !matches!(
            self.why,
            MissingTriggerCause::Gone | MissingTriggerCause::Foreign | MissingTriggerCause::Keys
        )
    }
}

/// Returns a warning for each tracked table that does not exist any more.
pub(crate) fn gone(missing: &[MissingTrigger]) -> impl Iterator<Item = Diagnostic> {
    missing.iter().filter(|missing| missing.why == MissingTriggerCause::Gone).map(|missing| {
        let MissingTrigger { cache, table, .. } = missing;
        let message = format!("the cache {cache} is registered on {table}, which does not exist any more");
        Diagnostic::new(Code::TrackedTableGone, message).help(
            "restore the table; or unregister the cache in a new migration, and register it on other tables there; \
             if its whole app is gone, forget the app",
        )
    })
}

/// Returns the query for missing triggers.
pub(crate) fn missing_triggers_query(dialect: &'static dyn Dialect) -> &'static str {
    dialect.registry().missing_triggers()
}

/// Parses the answer to [`missing_triggers_query`].
pub(crate) fn missing_triggers(rows: Vec<Row>) -> Vec<MissingTrigger> {
    let one = |row: Row| {
        let mut columns = row.into_iter();
        let mut next = || columns.next().flatten();
        let (cache, table, why) = (next()?, next()?, next()?);
        let why = match why.as_str() {
            "triggers" => MissingTriggerCause::Triggers,
            "disabled" => MissingTriggerCause::Disabled,
            "edited" => MissingTriggerCause::Edited,
            "renamed" => MissingTriggerCause::Renamed,
            "foreign" => MissingTriggerCause::Foreign,
            "keys" => MissingTriggerCause::Keys,
            _ => MissingTriggerCause::Gone,
        };
        Some(MissingTrigger { cache, table, why })
    };
    rows.into_iter().filter_map(one).collect()
}
