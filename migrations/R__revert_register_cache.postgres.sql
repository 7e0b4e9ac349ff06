-- Reverts bustard.register_cache() and bustard.register_cache_on(): unregisters the cache,
-- and forgets the tables of this registration. The tables of the previous registration
-- become the latest again.
CREATE OR REPLACE FUNCTION bustard.revert_register_cache(name pg_catalog.text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM bustard.unregister_cache($1);
    DELETE FROM bustard.tracked_table AS t USING bustard.cache AS c
    WHERE c.name OPERATOR(pg_catalog.=) $1 AND t.cache_id OPERATOR(pg_catalog.=) c.id
      AND t.suspended OPERATOR(pg_catalog.=) 1;
    UPDATE bustard.tracked_table AS t SET suspended = t.suspended OPERATOR(pg_catalog.-) 1
    FROM bustard.cache AS c
    WHERE c.name OPERATOR(pg_catalog.=) $1 AND t.cache_id OPERATOR(pg_catalog.=) c.id;
END
$$;

REVOKE EXECUTE ON FUNCTION bustard.revert_register_cache(pg_catalog.text) FROM PUBLIC;
