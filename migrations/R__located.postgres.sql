-- bustard: depends on bustard R__trigger_name

-- Shows where the tables of sources are now. `found` is null if the table does not exist.
-- `renamed` says that no table has the recorded name, and that the table was found by its
-- OID and has Bustard's triggers.
CREATE OR REPLACE VIEW bustard.located AS
SELECT s.id, s.active, s.schema_name, s.table_name, s.columns, s.rule, s.relation,
       COALESCE(named.oid, renamed.oid) AS found,
       named.oid IS NULL AND renamed.oid IS NOT NULL AS renamed
FROM bustard.source AS s
    LEFT JOIN LATERAL (
        SELECT k.oid
        FROM pg_catalog.pg_class AS k
            JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) k.relnamespace
        WHERE n.nspname OPERATOR(pg_catalog.=) s.schema_name::pg_catalog.name
          AND k.relname OPERATOR(pg_catalog.=) s.table_name::pg_catalog.name
          AND k.relkind OPERATOR(pg_catalog.=) ANY ('{r,p}'::pg_catalog."char"[])
    ) AS named ON true
    LEFT JOIN LATERAL (
        SELECT k.oid
        FROM pg_catalog.pg_class AS k
            JOIN pg_catalog.pg_trigger AS g ON g.tgrelid OPERATOR(pg_catalog.=) k.oid
        WHERE named.oid IS NULL
          AND k.oid OPERATOR(pg_catalog.=) s.relation
          AND g.tgname OPERATOR(pg_catalog.=) bustard.trigger_name('truncate', s.schema_name, s.table_name, s.columns, s.rule)
    ) AS renamed ON true;
