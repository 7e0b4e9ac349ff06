//! Statements that a migration cannot contain, told by how they start.
//!
//! In: a statement. Out: whether it goes to the database, and if not, why.

use super::split::Unit;
use crate::diagnostic::{Code, Diagnostic};

/// Whether a statement may be in a migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    Admitted,
    /// Left out, with a warning.
    Dropped(Diagnostic),
    Refused(Diagnostic),
    /// What follows it is data, not SQL.
    CopyIn(Diagnostic),
    /// Only outside of transactions.
    NotInTransaction(Diagnostic),
}

const COMMITS: &str = "leave it out: Bustard commits a migration with its history; what must commit on its own goes into a migration of its own";

/// The refusal of a statement that begins or ends the transaction, on any engine.
pub(crate) fn transaction_control(unit: &Unit<'_>) -> Option<Admission> {
    let keywords = control_keywords(unit)?;
    let message = format!(
        "`{keywords}` cannot be in a migration: it would end or begin the transaction that the migration is applied in"
    );
    Some(Admission::Refused(Diagnostic::new(Code::TransactionControl, message).help(COMMITS)))
}

/// The keywords, where the statement begins or ends a transaction. Savepoints
/// do neither.
fn control_keywords(unit: &Unit<'_>) -> Option<&'static str> {
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
