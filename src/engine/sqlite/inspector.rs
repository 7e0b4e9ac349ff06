//! SQLite's catalog.

use super::SQLITE;
use crate::engine::Row;
use crate::engine::inspector::{self, Ask, Definition, Inspector, Reference, Table};
use crate::error::Result;
use crate::sql::TableName;

/// SQLite's catalog.
#[derive(Debug)]
pub(crate) struct SqliteInspector;

impl Inspector for SqliteInspector {
    /// SQLite has no schemas that could be dropped.
    fn tables(&self, ask: Ask<'_>, names: &[TableName], _schemas: &[String]) -> Result<Vec<Table>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let names = names.iter().map(TableName::parts).filter(|(schema, _)| schema.is_none());
        let names: Vec<String> = names.map(|(_, name)| SQLITE.literal(&name)).collect();
        inspector::tables(ask(&format!(
            "SELECT 'main', name FROM main.sqlite_master \
             WHERE type = 'table' AND name COLLATE NOCASE IN ({})",
            names.join(",")
        ))?)
    }

    fn count(&self, ask: Ask<'_>, tables: &[Table]) -> Result<Vec<u64>> {
        inspector::count(ask, tables, "count(*)")
    }

    fn references(&self, ask: Ask<'_>, tables: &[Table]) -> Result<Vec<Reference>> {
        if tables.is_empty() {
            return Ok(Vec::new());
        }
        inspector::references(ask(&references(&literals(tables)))?)
    }

    /// SQLite keeps a foreign key onto a dropped table, and then rejects every write to
    /// the table that has it.
    fn dangling(&self, ask: Ask<'_>, dropped: &[Table]) -> Result<Vec<Reference>> {
        let names: Vec<TableName> = dropped.iter().map(|table| TableName::of(None, &table.name)).collect();
        let there = self.tables(ask, &names, &[])?;
        let mut left = self.references(ask, dropped)?;
        left.retain(|reference| !there.contains(&reference.to));
        Ok(left)
    }

    fn views_and_triggers(&self, ask: Ask<'_>, tables: &[Table]) -> Result<Vec<Definition>> {
        if tables.is_empty() {
            return Ok(Vec::new());
        }
        let rows = ask(&format!(
            "SELECT type, name, sql FROM main.sqlite_master WHERE type IN ('view', 'trigger') \
             AND name NOT GLOB 'bustard_*' AND tbl_name NOT IN ({}) ORDER BY type, name",
            literals(tables).join(",")
        ))?;
        let one = |row: Row| row.into_iter().collect::<Option<Vec<_>>>()?.try_into().ok();
        rows.into_iter().map(|row| one(row).ok_or_else(inspector::strange)).collect()
    }
}

fn literals(tables: &[Table]) -> Vec<String> {
    tables.iter().map(|table| SQLITE.literal(&table.name)).collect()
}

fn references(names: &[String]) -> String {
    let (names, rows) = (names.join(","), format!("({})", names.join("),(")));
    format!(
        "SELECT k.id, 'main', m.name, k.\"from\", 'main', t.name FROM main.sqlite_master m \
         JOIN pragma_foreign_key_list(m.name, 'main') k \
         JOIN (SELECT column1 AS name FROM (VALUES {rows})) t ON t.name = k.\"table\" COLLATE NOCASE \
         WHERE m.type = 'table' AND m.name NOT IN ({names}) ORDER BY m.name, k.id, k.seq"
    )
}
