-- Makes a registered cache of this app depend on these tables instead of those that it
-- depends on now, which are recorded: bustard.change_cache_back() restores them.
CREATE OR REPLACE FUNCTION bustard.change_cache(name pg_catalog.text, app pg_catalog.text, VARIADIC tables pg_catalog.text[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    found_id  integer;
    found_app pg_catalog.text;
BEGIN
    PERFORM bustard.begin_registering();
    SELECT c.id, c.app INTO found_id, found_app FROM bustard.cache AS c
    WHERE c.name OPERATOR(pg_catalog.=) $1 AND c.active;
    IF NOT FOUND THEN
        PERFORM bustard.unknown_cache($1);
    ELSIF COALESCE(found_app OPERATOR(pg_catalog.<>) $2, found_app IS NOT NULL OR $2 IS NOT NULL) THEN
        RAISE EXCEPTION USING
            ERRCODE = '42501',
            MESSAGE = pg_catalog.format('cache "%s" belongs to %s', $1,
                COALESCE('the app "' OPERATOR(pg_catalog.||) found_app OPERATOR(pg_catalog.||) '"', 'no app')),
            HINT = 'Only the app that has registered a cache changes its tables.';
    END IF;
    PERFORM bustard.remember_sources(found_id);
    INSERT INTO bustard.event (cell) VALUES (found_id::bigint OPERATOR(pg_catalog.<<) 12);
    PERFORM bustard.set_sources(found_id, bustard.sources_of($1, $3));
END
$$;

REVOKE EXECUTE ON FUNCTION bustard.change_cache(pg_catalog.text, pg_catalog.text, pg_catalog.text[]) FROM PUBLIC;
