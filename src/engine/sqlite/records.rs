//! The records on SQLite.

use sea_query::{Expr, SimpleExpr};

use crate::sql::RecordsSql;

/// The records on SQLite.
#[derive(Debug)]
pub(super) struct SqliteRecords;

impl RecordsSql for SqliteRecords {
    fn apps(&self) -> &'static str {
        "SELECT 'app', a.label, a.history, a.state, EXISTS (SELECT 1 FROM main.sqlite_master AS t \
             WHERE t.type = 'table' AND lower('main.\"' || replace(t.name, '\"', '\"\"') || '\"') = lower(a.history)), \
             (SELECT m.applied_on FROM main.bustard_migration AS m WHERE m.app = a.label ORDER BY m.version LIMIT 1), \
             (SELECT m.version FROM main.bustard_migration AS m WHERE m.app = a.label ORDER BY m.version LIMIT 1), \
             a.pinned FROM main.bustard_app AS a \
             UNION ALL SELECT 'incomplete', NULL, NULL, NULL, NULL, NULL, NULL, NULL \
             WHERE NOT EXISTS (SELECT 1 FROM main.bustard_cache AS c LEFT JOIN main.bustard_cache_source AS t ON 0 \
             LEFT JOIN main.bustard_source AS s ON 0 JOIN main.bustard_base AS b ON b.cell = 4096 \
             JOIN main.bustard_database AS d WHERE c.id = 1)"
    }

    fn new_identity(&self) -> &'static str {
        "UPDATE main.bustard_database SET identity = lower(hex(randomblob(16)))"
    }

    fn repeatables(&self) -> String {
        let definition = definition("r.name");
        format!(
            "SELECT 'repeatable', r.app, r.name, r.checksum, r.is_current, r.installed_at, r.edition, \
             r.edition IS NOT NULL AND r.definition IS NOT {definition} FROM main.bustard_repeatable AS r"
        )
    }

    fn definition(&self, name: &str) -> SimpleExpr {
        Expr::cust_with_values(definition("?"), [name])
    }

    fn is_current(&self) -> SimpleExpr {
        Expr::cust("is_current = 1")
    }

    fn boolean(&self, value: bool) -> SimpleExpr {
        Expr::cust(if value { "1" } else { "0" })
    }

    fn now(&self) -> SimpleExpr {
        Expr::cust("strftime('%Y-%m-%dT%H:%M:%fZ', 'now')")
    }

    fn create_schema(&self) -> Option<&'static str> {
        None
    }

    fn revoke_defaults(&self, _: &str) -> Option<String> {
        None
    }

    fn settle_owner(&self) -> Option<&'static str> {
        None
    }
}

/// Builds a query for the SQL of a view. `name` is an SQL expression for the name of the
/// view.
fn definition(name: &str) -> String {
    format!("(SELECT m.sql FROM main.sqlite_master AS m WHERE m.name = 'bustard_' || {name})")
}
