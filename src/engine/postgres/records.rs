//! The records on PostgreSQL.

use sea_query::{Expr, SimpleExpr};

use crate::sql::RecordsSql;

/// The records on PostgreSQL.
#[derive(Debug)]
pub(super) struct PostgresRecords;

impl RecordsSql for PostgresRecords {
    fn apps(&self) -> &'static str {
        "SELECT 'app', a.label, a.history, a.state, (EXISTS (SELECT FROM pg_catalog.pg_class AS k \
             JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) k.relnamespace \
             WHERE n.nspname OPERATOR(pg_catalog.=) (pg_catalog.parse_ident(a.history))[1]::pg_catalog.name \
             AND k.relname OPERATOR(pg_catalog.=) (pg_catalog.parse_ident(a.history))[2]::pg_catalog.name))::pg_catalog.int4, \
             f.applied_on, f.version, a.pinned::pg_catalog.int4 FROM bustard.app AS a \
             LEFT JOIN LATERAL (SELECT m.version, m.applied_on FROM bustard.migration AS m \
             WHERE m.app OPERATOR(pg_catalog.=) a.label ORDER BY m.version LIMIT 1) AS f ON true \
             UNION ALL SELECT 'guest', NULL, NULL, NULL, NULL, NULL, NULL, NULL \
             WHERE NOT pg_catalog.has_table_privilege('bustard.migration', 'INSERT') \
             UNION ALL SELECT 'incomplete', NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE NOT bustard.is_complete()"
    }

    fn repeatables(&self) -> String {
        let definition = definition("r.name");
        format!(
            "SELECT 'repeatable', r.app, r.name, r.checksum, r.is_current::pg_catalog.int4, \
             pg_catalog.to_char(r.installed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), r.edition, \
             CASE WHEN r.is_current AND r.edition IS NOT NULL THEN \
             (COALESCE(r.definition, '') OPERATOR(pg_catalog.<>) COALESCE({definition}, ''))::pg_catalog.int4 END \
             FROM bustard.repeatable AS r \
             UNION ALL SELECT 'owner', NULL, pg_catalog.pg_get_userbyid(k.relowner)::pg_catalog.text, NULL, NULL, NULL, NULL, NULL \
             FROM pg_catalog.pg_class AS k \
             WHERE k.oid OPERATOR(pg_catalog.=) 'bustard.cache'::pg_catalog.regclass::pg_catalog.oid \
             AND NOT pg_catalog.pg_has_role(k.relowner, 'USAGE') \
             UNION ALL SELECT 'read only', NULL, NULL, NULL, NULL, NULL, NULL, NULL \
             WHERE NOT (pg_catalog.has_table_privilege('bustard.repeatable', 'INSERT') \
             AND pg_catalog.has_table_privilege('bustard.repeatable', 'UPDATE') \
             AND pg_catalog.has_table_privilege('bustard.repeatable', 'SELECT'))"
        )
    }

    fn definition(&self, name: &str) -> SimpleExpr {
        Expr::cust_with_values(definition("$1"), [name])
    }

    fn is_current(&self) -> SimpleExpr {
        Expr::cust("is_current")
    }

    fn boolean(&self, value: bool) -> SimpleExpr {
        Expr::cust(if value { "true" } else { "false" })
    }

    fn now(&self) -> SimpleExpr {
        Expr::cust("pg_catalog.now()")
    }

    fn settle_owner(&self) -> Option<&'static str> {
        Some(SETTLE_OWNER)
    }
}

/// Returns an SQL expression for the definition that the catalogue has. `name` is an SQL
/// expression too. The definition of a function is a hash of its source and attributes. The
/// definition of a view only says that the view exists, because the text that PostgreSQL
/// prints depends on its release and on the search path.
fn definition(name: &str) -> String {
    format!(
        "COALESCE((SELECT pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.string_agg(\
             pg_catalog.concat_ws(' ', p.prosrc, p.prosecdef, p.provolatile, p.proparallel, p.proconfig), \
             ';' ORDER BY p.proargtypes::pg_catalog.text), 'UTF8')), 'hex') FROM pg_catalog.pg_proc AS p \
             JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace \
             WHERE n.nspname OPERATOR(pg_catalog.=) 'bustard'::pg_catalog.name \
             AND p.proname OPERATOR(pg_catalog.=) {name}::pg_catalog.name), \
             (SELECT 'view' FROM pg_catalog.pg_class AS k \
             JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) k.relnamespace \
             WHERE n.nspname OPERATOR(pg_catalog.=) 'bustard'::pg_catalog.name \
             AND k.relname OPERATOR(pg_catalog.=) {name}::pg_catalog.name \
             AND k.relkind OPERATOR(pg_catalog.=) 'v'::pg_catalog.\"char\"))"
    )
}

const SETTLE_OWNER: &str = "DO $$ DECLARE \
    owner pg_catalog.oid := (SELECT k.relowner FROM pg_catalog.pg_class AS k \
        WHERE k.oid OPERATOR(pg_catalog.=) 'bustard.cache'::pg_catalog.regclass::pg_catalog.oid); \
    object pg_catalog.text; \
    BEGIN FOR object IN \
        SELECT pg_catalog.format('TABLE %s', k.oid::pg_catalog.regclass) FROM pg_catalog.pg_class AS k \
        WHERE k.relnamespace OPERATOR(pg_catalog.=) 'bustard'::pg_catalog.regnamespace::pg_catalog.oid \
        AND k.relkind OPERATOR(pg_catalog.=) ANY ('{r,v}'::pg_catalog.\"char\"[]) \
        AND k.relowner OPERATOR(pg_catalog.<>) owner \
        UNION ALL SELECT pg_catalog.format('FUNCTION %s', p.oid::pg_catalog.regprocedure) FROM pg_catalog.pg_proc AS p \
        WHERE p.pronamespace OPERATOR(pg_catalog.=) 'bustard'::pg_catalog.regnamespace::pg_catalog.oid \
        AND p.proowner OPERATOR(pg_catalog.<>) owner \
    LOOP EXECUTE pg_catalog.format('ALTER %s OWNER TO %I', object, pg_catalog.pg_get_userbyid(owner)); END LOOP; END $$";
