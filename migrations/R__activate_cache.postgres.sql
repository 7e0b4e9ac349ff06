-- Registers a name, and returns the id of the cache. The sources that it counted before, if
-- it was registered before, are still in its row. A new id is the highest id plus one,
-- because logical replication does not copy the state of a sequence.
CREATE OR REPLACE FUNCTION bustard.activate_cache(name pg_catalog.text, app pg_catalog.text) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    found_id     integer;
    found_app    pg_catalog.text;
    found_active boolean;
BEGIN
    IF $1 IS NULL OR $1 OPERATOR(pg_catalog.=) '' OR pg_catalog.length($1) OPERATOR(pg_catalog.>) 128
       OR $1 COLLATE pg_catalog."C" OPERATOR(pg_catalog.~) E'[\\u0001-\\u001f\\u007f-\\u009f]' THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = pg_catalog.format('%L cannot be the name of a cache', pg_catalog.left($1, 128)),
            HINT = 'A name has 1 to 128 characters, none of them a control character.';
    END IF;

    PERFORM bustard.begin_registering();
    SELECT c.id, c.app, c.active INTO found_id, found_app, found_active
    FROM bustard.cache AS c WHERE c.name OPERATOR(pg_catalog.=) $1;
    IF found_active THEN
        RAISE EXCEPTION USING
            ERRCODE = '42710',
            MESSAGE = pg_catalog.format('cache "%s" is already registered', $1)
                OPERATOR(pg_catalog.||) COALESCE(' by app "' OPERATOR(pg_catalog.||) found_app OPERATOR(pg_catalog.||) '"', ''),
            HINT = 'Choose another name, or unregister it first.';
    ELSIF found_id IS NULL THEN
        found_id := bustard.next_id();
        INSERT INTO bustard.cache (id, name, app, active) VALUES (found_id, $1, $2, true);
    ELSE
        UPDATE bustard.cache AS c SET app = $2, active = true, registered_at = pg_catalog.now()
        WHERE c.id OPERATOR(pg_catalog.=) found_id;
    END IF;
    -- This event makes all versions obsolete that were read before this registration, or
    -- in a registration that was rolled back.
    INSERT INTO bustard.event (cell) VALUES (found_id::bigint OPERATOR(pg_catalog.<<) 12);
    RETURN found_id;
END
$$;

REVOKE EXECUTE ON FUNCTION bustard.activate_cache(pg_catalog.text, pg_catalog.text) FROM PUBLIC;
