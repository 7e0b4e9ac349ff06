-- Reverts bustard.change_cache(): the cache depends on the tables again that it had before.
-- If these are not recorded, it keeps those that it has.
CREATE OR REPLACE FUNCTION bustard.change_cache_back(name pg_catalog.text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    found_id integer;
    before   integer[];
BEGIN
    PERFORM bustard.begin_registering();
    SELECT c.id, c.wide OPERATOR(pg_catalog.||) c.keyed INTO found_id, before FROM bustard.cache AS c
    WHERE c.name OPERATOR(pg_catalog.=) $1 AND c.active;
    IF NOT FOUND THEN
        PERFORM bustard.unknown_cache($1);
    END IF;
    INSERT INTO bustard.event (cell) VALUES (found_id::bigint OPERATOR(pg_catalog.<<) 12);
    PERFORM bustard.set_sources(found_id, COALESCE(bustard.recall_sources(found_id), before));
END
$$;

REVOKE EXECUTE ON FUNCTION bustard.change_cache_back(pg_catalog.text) FROM PUBLIC;
