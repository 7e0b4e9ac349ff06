-- Registers a cache and its tables. Every write to one of the tables invalidates it.
CREATE OR REPLACE FUNCTION bustard.register_cache_on(name pg_catalog.text, app pg_catalog.text, VARIADIC tables pg_catalog.text[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    id integer := bustard.activate_cache($1, $2);
BEGIN
    PERFORM bustard.set_sources(id, bustard.sources_of($1, $3));
END
$$;

REVOKE EXECUTE ON FUNCTION bustard.register_cache_on(pg_catalog.text, pg_catalog.text, pg_catalog.text[]) FROM PUBLIC;
