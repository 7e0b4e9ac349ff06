-- Reverts bustard.register_cache() and bustard.register_cache_on(): unregisters the cache,
-- and forgets the tables of this registration. The tables of the previous registration
-- become the latest again.
CREATE OR REPLACE FUNCTION bustard.revert_register_cache(name pg_catalog.text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM bustard.unregister_cache($1);
    PERFORM bustard.recall_sources(c.id) FROM bustard.cache AS c WHERE c.name OPERATOR(pg_catalog.=) $1;
END
$$;

REVOKE EXECUTE ON FUNCTION bustard.revert_register_cache(pg_catalog.text) FROM PUBLIC;
