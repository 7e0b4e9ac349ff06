-- Registers a cache and its tables. Every write to one of the tables invalidates it.
CREATE OR REPLACE FUNCTION bustard.register_cache_on(name pg_catalog.text, app pg_catalog.text, VARIADIC tables pg_catalog.text[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM bustard.register_cache($1, $2);
    PERFORM bustard.track_tables($1, VARIADIC $3);
END
$$;

REVOKE EXECUTE ON FUNCTION bustard.register_cache_on(pg_catalog.text, pg_catalog.text, pg_catalog.text[]) FROM PUBLIC;
