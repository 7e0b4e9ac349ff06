-- Reverts bustard.unregister_cache(): registers the cache with the same owner and tables.
CREATE OR REPLACE FUNCTION bustard.register_cache_again(name pg_catalog.text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    id integer := bustard.activate_cache($1, (SELECT c.app FROM bustard.cache AS c WHERE c.name OPERATOR(pg_catalog.=) $1));
BEGIN
    PERFORM bustard.set_sources(id, COALESCE(bustard.recall_sources(id), '{}'));
END
$$;

REVOKE EXECUTE ON FUNCTION bustard.register_cache_again(pg_catalog.text) FROM PUBLIC;
