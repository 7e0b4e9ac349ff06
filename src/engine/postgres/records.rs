//! The records on PostgreSQL.

use sea_query::{Expr, SimpleExpr};

use super::literal::literal;
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
             UNION ALL SELECT 'incomplete', NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE NOT bustard.is_complete() \
             UNION ALL SELECT 'copy', CASE WHEN pg_catalog.has_table_privilege('bustard.database', 'UPDATE') THEN '1' ELSE '0' END, \
             NULL, NULL, NULL, NULL, NULL, NULL FROM bustard.this_database() AS d WHERE d.is_copy"
    }

    fn new_identity(&self) -> &'static str {
        "UPDATE bustard.database SET identity = pg_catalog.gen_random_uuid(), \
             (system_identifier, oid) = (SELECT d.system_identifier, d.oid FROM bustard.this_database() AS d)"
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

    fn create_schema(&self) -> Option<&'static str> {
        Some(CREATE_SCHEMA)
    }

    fn revoke_defaults(&self, table: &str) -> Option<String> {
        Some(revoke_defaults(table))
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

/// Revokes the rights that default privileges have given on functions and views that were
/// installed for the first time, and gives all objects to the owner of the tables.
const SETTLE_OWNER: &str = "DO $$ DECLARE \
    owner pg_catalog.oid := (SELECT k.relowner FROM pg_catalog.pg_class AS k \
        WHERE k.oid OPERATOR(pg_catalog.=) 'bustard.cache'::pg_catalog.regclass::pg_catalog.oid); \
    object pg_catalog.text; \
    BEGIN FOR object IN \
        SELECT pg_catalog.format('REVOKE %s ON %s FROM %s', o.privilege_type, o.object, \
            CASE WHEN o.grantee OPERATOR(pg_catalog.=) 0::pg_catalog.oid THEN 'PUBLIC' \
            ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(o.grantee)) END) FROM ( \
        SELECT p.proname AS name, pg_catalog.format('FUNCTION %s', p.oid::pg_catalog.regprocedure) AS object, a.* \
        FROM pg_catalog.pg_proc AS p, LATERAL pg_catalog.aclexplode(p.proacl) AS a \
        WHERE p.pronamespace OPERATOR(pg_catalog.=) 'bustard'::pg_catalog.regnamespace::pg_catalog.oid \
        AND a.grantee OPERATOR(pg_catalog.<>) p.proowner AND a.grantee OPERATOR(pg_catalog.<>) 0::pg_catalog.oid \
        UNION ALL SELECT k.relname, pg_catalog.format('TABLE %s', k.oid::pg_catalog.regclass), a.* \
        FROM pg_catalog.pg_class AS k, LATERAL pg_catalog.aclexplode(k.relacl) AS a \
        WHERE k.relnamespace OPERATOR(pg_catalog.=) 'bustard'::pg_catalog.regnamespace::pg_catalog.oid \
        AND k.relkind OPERATOR(pg_catalog.=) 'v'::pg_catalog.\"char\" AND a.grantee OPERATOR(pg_catalog.<>) k.relowner \
        AND NOT (k.relname OPERATOR(pg_catalog.=) 'caches'::pg_catalog.name \
            AND a.grantee OPERATOR(pg_catalog.=) 0::pg_catalog.oid AND a.privilege_type OPERATOR(pg_catalog.=) 'SELECT') \
        ) AS o WHERE (SELECT pg_catalog.count(*) OPERATOR(pg_catalog.=) 1 \
                AND pg_catalog.bool_and(r.installed_at OPERATOR(pg_catalog.=) pg_catalog.now()) FROM bustard.repeatable AS r \
            WHERE r.app OPERATOR(pg_catalog.=) 'bustard' AND r.name OPERATOR(pg_catalog.=) o.name::pg_catalog.text) \
        AND EXISTS (SELECT FROM pg_catalog.pg_default_acl AS d, LATERAL pg_catalog.aclexplode(d.defaclacl) AS x \
            WHERE x.grantee OPERATOR(pg_catalog.=) o.grantee AND x.privilege_type OPERATOR(pg_catalog.=) o.privilege_type) \
    LOOP EXECUTE object; END LOOP; \
    FOR object IN \
        SELECT pg_catalog.format('TABLE %s', k.oid::pg_catalog.regclass) FROM pg_catalog.pg_class AS k \
        WHERE k.relnamespace OPERATOR(pg_catalog.=) 'bustard'::pg_catalog.regnamespace::pg_catalog.oid \
        AND k.relkind OPERATOR(pg_catalog.=) ANY ('{r,v}'::pg_catalog.\"char\"[]) \
        AND k.relowner OPERATOR(pg_catalog.<>) owner \
        UNION ALL SELECT pg_catalog.format('FUNCTION %s', p.oid::pg_catalog.regprocedure) FROM pg_catalog.pg_proc AS p \
        WHERE p.pronamespace OPERATOR(pg_catalog.=) 'bustard'::pg_catalog.regnamespace::pg_catalog.oid \
        AND p.proowner OPERATOR(pg_catalog.<>) owner \
    LOOP EXECUTE pg_catalog.format('ALTER %s OWNER TO %I', object, pg_catalog.pg_get_userbyid(owner)); END LOOP; END $$";

/// Creates the schema unless it exists, without the rights that default privileges give.
/// `IF NOT EXISTS` would need the right to create schemas even where a schema exists.
const CREATE_SCHEMA: &str = "DO $$ DECLARE other pg_catalog.text; BEGIN \
    IF pg_catalog.to_regnamespace('bustard') IS NULL THEN CREATE SCHEMA bustard; \
    FOR other IN SELECT DISTINCT CASE WHEN a.grantee OPERATOR(pg_catalog.=) 0::pg_catalog.oid THEN 'PUBLIC' \
            ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END \
        FROM pg_catalog.pg_namespace AS n, LATERAL pg_catalog.aclexplode(n.nspacl) AS a \
        WHERE n.nspname OPERATOR(pg_catalog.=) 'bustard'::pg_catalog.name AND a.grantee OPERATOR(pg_catalog.<>) n.nspowner \
    LOOP EXECUTE pg_catalog.format('REVOKE ALL ON SCHEMA bustard FROM %s', other); END LOOP; END IF; END $$";

/// Revokes the rights to change a history that default privileges have given. Those to
/// read it stay.
fn revoke_defaults(table: &str) -> String {
    let table = literal(table);
    format!(
        "DO $$ DECLARE other pg_catalog.text; BEGIN \
         FOR other IN SELECT pg_catalog.format('REVOKE %s ON %s FROM %s', a.privilege_type, c.oid::pg_catalog.regclass, \
            CASE WHEN a.grantee OPERATOR(pg_catalog.=) 0::pg_catalog.oid THEN 'PUBLIC' \
            ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END) \
         FROM pg_catalog.pg_class AS c, LATERAL pg_catalog.aclexplode(c.relacl) AS a \
         WHERE c.oid OPERATOR(pg_catalog.=) {table}::pg_catalog.regclass::pg_catalog.oid \
            AND a.grantee OPERATOR(pg_catalog.<>) c.relowner AND a.privilege_type OPERATOR(pg_catalog.<>) 'SELECT' \
         LOOP EXECUTE other; END LOOP; END $$"
    )
}
