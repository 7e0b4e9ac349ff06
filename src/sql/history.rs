//! The query on a history table.

/// Reads a history table as refinery reads it.
pub(crate) fn applied_query(table: &str) -> String {
    format!("SELECT version, name, applied_on, checksum FROM {table} ORDER BY version ASC")
}
