//! The tables whose writes invalidate a cache, and which of them have lost their
//! triggers.

use crate::engine::Row;
use crate::sql::Dialect;

/// A table on which a cache is registered and which is not as it was then.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingTrigger {
    /// The cache's name.
    pub cache: String,
    /// The table or partition, on PostgreSQL with its schema.
    pub table: String,
    /// What is the matter with it.
    pub why: MissingTriggerCause,
}

/// What is the matter with a table on which a cache is registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissingTriggerCause {
    /// It has lost its triggers, or never had them: it was rebuilt, swapped, or is
    /// a new partition. Until the next run, writes to it invalidate nothing.
    Triggers,
    /// It has another name now, and triggers that work. The next run notes the name.
    Renamed,
    /// It is gone. Nobody can write to it, so nothing is to be done.
    Gone,
    /// It is a foreign table that has become a partition or child of a registered one:
    /// writes to it do not invalidate, and no run can change that.
    Foreign,
}

impl MissingTrigger {
    /// Whether a run sets it right.
    pub fn is_repairable(&self) -> bool {
        matches!(self.why, MissingTriggerCause::Triggers | MissingTriggerCause::Renamed)
    }
}

/// What is not as it was registered.
pub(crate) fn missing_triggers_query(dialect: &'static dyn Dialect) -> &'static str {
    dialect.registry().missing_triggers()
}

/// The answer to it.
pub(crate) fn missing_triggers(rows: Vec<Row>) -> Vec<MissingTrigger> {
    let one = |row: Row| {
        let mut columns = row.into_iter();
        let mut next = || columns.next().flatten();
        let (cache, table, why) = (next()?, next()?, next()?);
        let why = match why.as_str() {
            "triggers" => MissingTriggerCause::Triggers,
            "renamed" => MissingTriggerCause::Renamed,
            "foreign" => MissingTriggerCause::Foreign,
            _ => MissingTriggerCause::Gone,
        };
        Some(MissingTrigger { cache, table, why })
    };
    rows.into_iter().filter_map(one).collect()
}
