-- Reverts bustard.unregister_cache(): registers the cache with the same owner and tables.
CREATE OR REPLACE FUNCTION bustard.register_cache_again(name pg_catalog.text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM bustard.register_cache($1, (SELECT c.app FROM bustard.cache AS c WHERE c.name OPERATOR(pg_catalog.=) $1));
    UPDATE bustard.tracked_table AS t SET suspended = t.suspended OPERATOR(pg_catalog.-) 1
    FROM bustard.cache AS c
    WHERE c.name OPERATOR(pg_catalog.=) $1 AND t.cache_id OPERATOR(pg_catalog.=) c.id;
    PERFORM bustard.install_triggers();
END
$$;

REVOKE EXECUTE ON FUNCTION bustard.register_cache_again(pg_catalog.text) FROM PUBLIC;
