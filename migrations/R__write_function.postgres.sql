-- Writes the function that the triggers of a tracked table call, and records its text. The
-- function belongs to the owner of the registry, whichever role registers a cache.
CREATE OR REPLACE FUNCTION bustard.write_function(source integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    function pg_catalog.name;
    text     pg_catalog.text := bustard.function_body($1);
BEGIN
    SELECT bustard.function_name(s.schema_name, s.table_name, s.columns, s.rule) INTO function
    FROM bustard.source AS s WHERE s.id OPERATOR(pg_catalog.=) $1;
    -- Another function or procedure of this name cannot be replaced. No trigger can call it.
    IF EXISTS (
        SELECT FROM pg_catalog.pg_proc AS p
        WHERE p.pronamespace OPERATOR(pg_catalog.=) 'bustard'::pg_catalog.regnamespace::pg_catalog.oid
          AND p.proname OPERATOR(pg_catalog.=) function AND p.pronargs OPERATOR(pg_catalog.=) 0::pg_catalog.int2
          AND p.prorettype OPERATOR(pg_catalog.<>) 'pg_catalog.trigger'::pg_catalog.regtype::pg_catalog.oid
    ) THEN
        EXECUTE pg_catalog.format('DROP ROUTINE bustard.%I()', function);
    END IF;
    EXECUTE pg_catalog.format(
        'CREATE OR REPLACE FUNCTION bustard.%I() RETURNS pg_catalog.trigger LANGUAGE plpgsql SECURITY DEFINER AS %L', function, text);
    EXECUTE pg_catalog.format('REVOKE EXECUTE ON FUNCTION bustard.%I() FROM PUBLIC', function);
    UPDATE bustard.source AS s SET body = text WHERE s.id OPERATOR(pg_catalog.=) $1;
END
$$;

REVOKE EXECUTE ON FUNCTION bustard.write_function(integer) FROM PUBLIC;
