-- Unregisters a cache and drops its triggers. Inserts an event too, so that a process
-- that reads only the total of all caches notices the change.
CREATE OR REPLACE FUNCTION bustard.unregister_cache(name pg_catalog.text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    found_id integer;
BEGIN
    LOCK TABLE bustard.cache IN SHARE ROW EXCLUSIVE MODE;
    UPDATE bustard.cache AS c SET active = false
    WHERE c.name OPERATOR(pg_catalog.=) $1 AND c.active
    RETURNING c.id INTO found_id;
    IF NOT FOUND THEN
        PERFORM bustard.unknown_cache($1);
    END IF;
    INSERT INTO bustard.event (cache_id) VALUES (found_id);
    UPDATE bustard.tracked_table AS t SET suspended = t.suspended OPERATOR(pg_catalog.+) 1
    WHERE t.cache_id OPERATOR(pg_catalog.=) found_id;
    IF FOUND THEN
        PERFORM bustard.drop_triggers();
    END IF;
END
$$;

REVOKE EXECUTE ON FUNCTION bustard.unregister_cache(pg_catalog.text) FROM PUBLIC;
