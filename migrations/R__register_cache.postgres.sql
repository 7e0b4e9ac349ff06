-- Registers a cache. Registrations wait for each other, and for nothing else. (If the cache
-- was on tables until this transaction unregistered it, this locks these tables: see
-- bustard.set_sources().)
CREATE OR REPLACE FUNCTION bustard.register_cache(name pg_catalog.text, app pg_catalog.text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM bustard.set_sources(bustard.activate_cache($1, $2), '{}');
END
$$;

REVOKE EXECUTE ON FUNCTION bustard.register_cache(pg_catalog.text, pg_catalog.text) FROM PUBLIC;
