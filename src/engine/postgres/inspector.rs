//! PostgreSQL's catalog.

use super::POSTGRES;
use crate::engine::inspector::{self, Ask, Definition, Inspector, Reference, Table};
use crate::error::Result;
use crate::sql::TableName;

/// PostgreSQL's catalog.
#[derive(Debug)]
pub(crate) struct PostgresInspector;

impl Inspector for PostgresInspector {
    fn tables(&self, ask: Ask<'_>, names: &[TableName], schemas: &[String]) -> Result<Vec<Table>> {
        let mut found = Vec::new();
        if !names.is_empty() {
            found.extend(ask(&named(names))?);
        }
        if !schemas.is_empty() {
            let schemas: Vec<String> = schemas.iter().map(|schema| POSTGRES.literal(schema)).collect();
            found.extend(ask(&format!(
                "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c \
                 JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
                 WHERE {IS_TABLE} AND n.nspname OPERATOR(pg_catalog.=) ANY (ARRAY[{}]::pg_catalog.name[])",
                schemas.join(",")
            ))?);
        }
        inspector::tables(found)
    }

    fn count(&self, ask: Ask<'_>, tables: &[Table]) -> Result<Vec<u64>> {
        inspector::count(ask, tables, "pg_catalog.count(*)")
    }

    fn references(&self, ask: Ask<'_>, tables: &[Table]) -> Result<Vec<Reference>> {
        if tables.is_empty() {
            return Ok(Vec::new());
        }
        let oid = |table: &Table| format!("pg_catalog.to_regclass({})", POSTGRES.literal(&table.quoted()));
        let oids = tables.iter().map(oid).collect::<Vec<_>>().join(",");
        inspector::references(ask(&references(&oids))?)
    }

    /// Returns nothing, because PostgreSQL refuses to drop a table that a foreign key
    /// refers to.
    fn dangling(&self, _ask: Ask<'_>, _dropped: &[Table]) -> Result<Vec<Reference>> {
        Ok(Vec::new())
    }

    /// Returns nothing, because PostgreSQL refuses to drop a table that a view uses.
    fn views_and_triggers(&self, _ask: Ask<'_>, _tables: &[Table]) -> Result<Vec<Definition>> {
        Ok(Vec::new())
    }
}

/// The condition for ordinary and partitioned tables. The rows of partitions count as rows
/// of their partitioned table.
const IS_TABLE: &str =
    "c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r','p']::pg_catalog.\"char\"[]) AND NOT c.relispartition";

fn named(names: &[TableName]) -> String {
    let values =
        names.iter().map(|name| format!("(pg_catalog.to_regclass({}))", POSTGRES.literal(name.as_str())));
    format!(
        "SELECT n.nspname, c.relname FROM (VALUES {}) t (oid) \
         JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) t.oid \
         JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
         WHERE c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r','p']::pg_catalog.\"char\"[])",
        values.collect::<Vec<_>>().join(",")
    )
}

/// Selects a row for each column of each key. Skips keys of partitions, which repeat the
/// keys of their partitioned table.
fn references(oids: &str) -> String {
    format!(
        "SELECT k.oid, n.nspname, c.relname, a.attname, tn.nspname, t.relname FROM pg_catalog.pg_constraint k \
         JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) k.conrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
         JOIN pg_catalog.pg_class t ON t.oid OPERATOR(pg_catalog.=) k.confrelid \
         JOIN pg_catalog.pg_namespace tn ON tn.oid OPERATOR(pg_catalog.=) t.relnamespace \
         CROSS JOIN LATERAL pg_catalog.unnest(k.conkey) WITH ORDINALITY u (number, i) \
         JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) k.conrelid \
         AND a.attnum OPERATOR(pg_catalog.=) u.number \
         WHERE k.contype OPERATOR(pg_catalog.=) 'f'::pg_catalog.\"char\" AND k.conparentid OPERATOR(pg_catalog.=) 0::pg_catalog.oid \
         AND k.confrelid OPERATOR(pg_catalog.=) ANY (ARRAY[{oids}]::pg_catalog.oid[]) \
         AND k.conrelid OPERATOR(pg_catalog.<>) ALL (ARRAY[{oids}]::pg_catalog.oid[]) \
         ORDER BY n.nspname, c.relname, k.oid, u.i"
    )
}
