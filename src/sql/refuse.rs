//! Statements that a migration cannot contain, recognised by their first keywords.
//!
//! In: a statement. Out: whether the statement is sent to the database, and the diagnostic
//! if it is not.

use super::split::Unit;
use crate::diagnostic::{Code, Diagnostic};

/// The decision whether a migration can contain a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    Admitted,
    /// The statement is skipped with a warning.
    Dropped(Diagnostic),
    Refused(Diagnostic),
    /// The statement can only run outside a transaction.
    NotInTransaction(Diagnostic),
}

const COMMITS: &str = "remove it: Bustard commits a migration together with its history; put statements that must commit separately into another migration";

/// Refuses a statement that begins or ends a transaction, on any engine.
pub(crate) fn transaction_control(unit: &Unit<'_>) -> Option<Admission> {
    let keywords = control_keywords(unit)?;
    let message = format!(
        "`{keywords}` cannot be in a migration: it would end or begin the transaction that the migration is applied in"
    );
    Some(Admission::Refused(Diagnostic::new(Code::TransactionControl, message).help(COMMITS)))
}

/// Returns the keywords if the statement begins or ends a transaction. Statements on
/// savepoints do not.
pub(super) fn control_keywords(unit: &Unit<'_>) -> Option<&'static str> {
    let to_savepoint = unit.starts("ROLLBACK TO") || unit.starts("ROLLBACK WORK|TRANSACTION TO");
    [
        ("BEGIN", "BEGIN"),
        ("START TRANSACTION", "START TRANSACTION"),
        ("COMMIT PREPARED", "COMMIT PREPARED"),
        ("COMMIT", "COMMIT"),
        ("END", "END"),
        ("ROLLBACK PREPARED", "ROLLBACK PREPARED"),
        ("ROLLBACK", "ROLLBACK"),
        ("ABORT", "ABORT"),
        ("PREPARE TRANSACTION", "PREPARE TRANSACTION"),
    ]
    .into_iter()
    .find(|(keywords, _)| unit.starts(keywords) && !to_savepoint)
    .map(|(_, shown)| shown)
}
