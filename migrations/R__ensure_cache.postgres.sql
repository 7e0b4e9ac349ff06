-- Executes `register cache` in a repeatable migration, which runs many times. Registers
-- the cache. If this app has registered it already, replaces the list of its tables.
-- A cache of another app is an error, as in bustard.register_cache().
CREATE OR REPLACE FUNCTION bustard.ensure_cache(name pg_catalog.text, app pg_catalog.text, VARIADIC tables pg_catalog.text[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    found_id integer;
BEGIN
    LOCK TABLE bustard.cache IN SHARE ROW EXCLUSIVE MODE;
    SELECT c.id INTO found_id FROM bustard.cache AS c
    WHERE c.name OPERATOR(pg_catalog.=) $1 AND c.active AND c.app OPERATOR(pg_catalog.=) $2;
    IF FOUND THEN
        DELETE FROM bustard.tracked_table AS t
        WHERE t.cache_id OPERATOR(pg_catalog.=) found_id AND t.suspended OPERATOR(pg_catalog.=) 0;
    ELSE
        PERFORM bustard.register_cache($1, $2);
    END IF;
    PERFORM bustard.track_tables($1, VARIADIC $3);
    -- If no cache tracks a table any more, track_tables() has not dropped the triggers.
    PERFORM bustard.drop_triggers();
END
$$;

REVOKE EXECUTE ON FUNCTION bustard.ensure_cache(pg_catalog.text, pg_catalog.text, pg_catalog.text[]) FROM PUBLIC;
