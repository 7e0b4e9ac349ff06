-- Unregisters a cache, and drops the triggers that no other cache needs. Inserts an event
-- too, so that a process that reads only the total of all caches notices the change.
CREATE OR REPLACE FUNCTION bustard.unregister_cache(name pg_catalog.text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    found_id integer;
    sources  integer[];
BEGIN
    PERFORM bustard.begin_registering();
    UPDATE bustard.cache AS c SET active = false
    WHERE c.name OPERATOR(pg_catalog.=) $1 AND c.active
    RETURNING c.id, c.wide OPERATOR(pg_catalog.||) c.keyed INTO found_id, sources;
    IF NOT FOUND THEN
        PERFORM bustard.unknown_cache($1);
    END IF;
    INSERT INTO bustard.event (cell) VALUES (found_id::bigint OPERATOR(pg_catalog.<<) 12);
    PERFORM bustard.remember_sources(found_id);
    IF bustard.release_sources(sources) THEN
        PERFORM bustard.drop_triggers();
    END IF;
END
$$;

REVOKE EXECUTE ON FUNCTION bustard.unregister_cache(pg_catalog.text) FROM PUBLIC;
