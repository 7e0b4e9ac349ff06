-- Returns the sources that were recorded last for a cache, and deletes the record. Returns
-- null if there is none.
CREATE OR REPLACE FUNCTION bustard.recall_sources(cache integer) RETURNS integer[]
LANGUAGE plpgsql AS $$
DECLARE
    former integer[];
BEGIN
    DELETE FROM bustard.former_sources AS f
    WHERE f.cache_id OPERATOR(pg_catalog.=) $1
      AND f.depth OPERATOR(pg_catalog.=) (SELECT pg_catalog.max(o.depth) FROM bustard.former_sources AS o
                                          WHERE o.cache_id OPERATOR(pg_catalog.=) $1)
    RETURNING f.wide OPERATOR(pg_catalog.||) f.keyed INTO former;
    RETURN former;
END
$$;

REVOKE EXECUTE ON FUNCTION bustard.recall_sources(integer) FROM PUBLIC;
