-- Returns the id of the next source. Registrations wait for each other, so it is free.
CREATE OR REPLACE FUNCTION bustard.next_id() RETURNS integer
LANGUAGE plpgsql AS $$
BEGIN
    RETURN GREATEST((SELECT pg_catalog.max(c.id) FROM bustard.cache AS c),
                    (SELECT pg_catalog.max(s.id) FROM bustard.source AS s),
                    (SELECT pg_catalog.max(f.cache_id) FROM bustard.former_sources AS f)) OPERATOR(pg_catalog.+) 1;
END
$$;

REVOKE EXECUTE ON FUNCTION bustard.next_id() FROM PUBLIC;
