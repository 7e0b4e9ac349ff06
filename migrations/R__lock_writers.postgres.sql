-- Waits until no open transaction has written to a table of these sources, and keeps others
-- from writing until the end of this transaction. A name may lead to another table by the
-- time that the lock is there, so the name is compared again.
CREATE OR REPLACE FUNCTION bustard.lock_writers(ids integer[]) RETURNS void
LANGUAGE plpgsql SET jit = off AS $$
DECLARE
    target pg_catalog.record;
BEGIN
    FOR target IN
        SELECT DISTINCT n.nspname AS schema_name, k.relname AS table_name, k.oid
        FROM bustard.source AS s
            JOIN pg_catalog.pg_proc AS p ON p.proname OPERATOR(pg_catalog.=) bustard.function_name(s.schema_name, s.table_name, s.columns, s.rule)
                AND p.pronamespace OPERATOR(pg_catalog.=) 'bustard'::pg_catalog.regnamespace::pg_catalog.oid
            JOIN pg_catalog.pg_trigger AS g ON g.tgfoid OPERATOR(pg_catalog.=) p.oid
            JOIN pg_catalog.pg_class AS k ON k.oid OPERATOR(pg_catalog.=) g.tgrelid
            JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) k.relnamespace
        WHERE s.id OPERATOR(pg_catalog.=) ANY ($1)
        ORDER BY 1, 2
    LOOP
        EXECUTE pg_catalog.format('LOCK TABLE ONLY %I.%I IN SHARE MODE', target.schema_name, target.table_name);
        PERFORM FROM pg_catalog.pg_class AS k
            JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) k.relnamespace
        WHERE k.oid OPERATOR(pg_catalog.=) target.oid
          AND n.nspname OPERATOR(pg_catalog.=) target.schema_name AND k.relname OPERATOR(pg_catalog.=) target.table_name;
        IF NOT FOUND THEN
            RAISE lock_not_available USING
                MESSAGE = pg_catalog.format('another session has just renamed %I.%I', target.schema_name, target.table_name),
                HINT = 'Run it again.';
        END IF;
    END LOOP;
END
$$;

REVOKE EXECUTE ON FUNCTION bustard.lock_writers(integer[]) FROM PUBLIC;
