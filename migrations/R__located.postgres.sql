-- bustard: depends on bustard R__trigger_name

-- Shows where the tables of registered caches are now. `found` is null if the table does
-- not exist. `renamed` says that no table has the registered name, and that the table was
-- found by its OID and has Bustard's triggers.
CREATE OR REPLACE VIEW bustard.located AS
SELECT t.cache_id, c.name AS cache, t.schema_name, t.table_name, t.relation,
       COALESCE(named.oid, renamed.oid) AS found,
       named.oid IS NULL AND renamed.oid IS NOT NULL AS renamed
FROM bustard.tracked_table AS t
    JOIN bustard.cache AS c ON c.id OPERATOR(pg_catalog.=) t.cache_id AND c.active
    LEFT JOIN LATERAL (
        SELECT k.oid
        FROM pg_catalog.pg_class AS k
            JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) k.relnamespace
        WHERE n.nspname OPERATOR(pg_catalog.=) t.schema_name::pg_catalog.name
          AND k.relname OPERATOR(pg_catalog.=) t.table_name::pg_catalog.name
          AND k.relkind OPERATOR(pg_catalog.=) ANY ('{r,p}'::pg_catalog."char"[])
    ) AS named ON true
    LEFT JOIN LATERAL (
        SELECT k.oid
        FROM pg_catalog.pg_class AS k
            JOIN pg_catalog.pg_trigger AS g ON g.tgrelid OPERATOR(pg_catalog.=) k.oid
        WHERE named.oid IS NULL
          AND k.oid OPERATOR(pg_catalog.=) t.relation
          AND g.tgname OPERATOR(pg_catalog.=) bustard.trigger_name('truncate', c.name)
    ) AS renamed ON true
WHERE t.suspended OPERATOR(pg_catalog.=) 0;
