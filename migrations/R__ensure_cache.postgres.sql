-- Executes `register cache` and `change cache` in a repeatable migration, which runs many
-- times. Registers the cache. If this app has registered it already, replaces the list of
-- its tables. A cache of another app is an error, as in bustard.register_cache().
CREATE OR REPLACE FUNCTION bustard.ensure_cache(name pg_catalog.text, app pg_catalog.text, VARIADIC tables pg_catalog.text[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    found_id integer;
BEGIN
    PERFORM bustard.begin_registering();
    SELECT c.id INTO found_id FROM bustard.cache AS c
    WHERE c.name OPERATOR(pg_catalog.=) $1 AND c.active AND c.app OPERATOR(pg_catalog.=) $2;
    IF FOUND THEN
        INSERT INTO bustard.event (cell) VALUES (found_id::bigint OPERATOR(pg_catalog.<<) 12);
    ELSE
        found_id := bustard.activate_cache($1, $2);
    END IF;
    PERFORM bustard.set_sources(found_id, bustard.sources_of($1, $3));
END
$$;

REVOKE EXECUTE ON FUNCTION bustard.ensure_cache(pg_catalog.text, pg_catalog.text, pg_catalog.text[]) FROM PUBLIC;
