-- Records the sources that a cache counts now.
CREATE OR REPLACE FUNCTION bustard.remember_sources(cache integer) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO bustard.former_sources (cache_id, depth, wide, keyed)
    SELECT c.id, COALESCE((SELECT pg_catalog.max(f.depth) FROM bustard.former_sources AS f
                           WHERE f.cache_id OPERATOR(pg_catalog.=) c.id), 0) OPERATOR(pg_catalog.+) 1, c.wide, c.keyed
    FROM bustard.cache AS c WHERE c.id OPERATOR(pg_catalog.=) $1;
END
$$;

REVOKE EXECUTE ON FUNCTION bustard.remember_sources(integer) FROM PUBLIC;
