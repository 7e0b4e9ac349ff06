-- Registers the tables of a registered cache. Every write to one of them invalidates the
-- cache. Names without a schema are found by the `search_path` of the caller.
CREATE OR REPLACE FUNCTION bustard.track_tables(name pg_catalog.text, VARIADIC tables pg_catalog.text[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    registered integer;
    asked      pg_catalog.text;
    target     pg_catalog.record;
    what       pg_catalog.text;
BEGIN
    SELECT c.id INTO registered FROM bustard.cache AS c WHERE c.name OPERATOR(pg_catalog.=) $1;
    FOREACH asked IN ARRAY COALESCE($2, '{}'::pg_catalog.text[]) LOOP
        SELECT k.oid, k.relname, k.relkind, k.relpersistence, n.nspname INTO target
        FROM pg_catalog.pg_class AS k
            JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) k.relnamespace
        WHERE k.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(asked)::pg_catalog.oid;
        IF NOT FOUND THEN
            RAISE EXCEPTION USING
                ERRCODE = '42P01',
                MESSAGE = pg_catalog.format('there is no table %s for the cache "%s"', asked, $1),
                HINT = 'Register the cache after the statement that creates the table.';
        END IF;
        what := CASE
            WHEN target.nspname OPERATOR(pg_catalog.=) 'bustard'::pg_catalog.name THEN 'one of Bustard''s own tables'
            WHEN target.nspname OPERATOR(pg_catalog.=) ANY ('{pg_catalog,information_schema,pg_toast}'::pg_catalog.name[]) THEN 'a system catalog'
            WHEN target.relkind OPERATOR(pg_catalog.=) 'v'::pg_catalog."char" THEN 'a view'
            WHEN target.relkind OPERATOR(pg_catalog.=) 'm'::pg_catalog."char" THEN 'a materialized view'
            WHEN target.relkind OPERATOR(pg_catalog.=) 'f'::pg_catalog."char" THEN 'a foreign table'
            WHEN target.relkind OPERATOR(pg_catalog.<>) ALL ('{r,p}'::pg_catalog."char"[]) THEN 'no table'
            WHEN target.relpersistence OPERATOR(pg_catalog.=) 't'::pg_catalog."char" THEN 'a temporary table'
        END;
        IF what IS NOT NULL THEN
            RAISE EXCEPTION USING
                ERRCODE = '42809',
                MESSAGE = pg_catalog.format('%s is %s: writes to it cannot invalidate the cache "%s"', asked, what, $1),
                HINT = 'Name the tables that its contents come from, or call bustard.invalidate() where it is written.';
        END IF;
        INSERT INTO bustard.tracked_table AS t (cache_id, schema_name, table_name, relation)
        VALUES (registered, target.nspname, target.relname, target.oid)
        ON CONFLICT (cache_id, schema_name, table_name) WHERE suspended OPERATOR(pg_catalog.=) 0 DO NOTHING;
    END LOOP;
    SELECT u.relation INTO what FROM bustard.missing_triggers() AS u
    WHERE u.cache OPERATOR(pg_catalog.=) $1 AND u.why OPERATOR(pg_catalog.=) 'foreign' LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = '42809',
            MESSAGE = pg_catalog.format('%s is a foreign table below one of these: writes to it cannot invalidate the cache "%s"', what, $1),
            HINT = 'Name those of the partitions that are no foreign tables.';
    END IF;
    PERFORM bustard.install_triggers();
END
$$;

REVOKE EXECUTE ON FUNCTION bustard.track_tables(pg_catalog.text, pg_catalog.text[]) FROM PUBLIC;
