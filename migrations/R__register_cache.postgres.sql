-- Registers a cache. Registrations wait for each other, because each locks the table
-- before it first reads it; they wait for nothing else. The new id is the highest id plus
-- one, because logical replication does not copy the state of a sequence.
CREATE OR REPLACE FUNCTION bustard.register_cache(name pg_catalog.text, app pg_catalog.text DEFAULT NULL) RETURNS void
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

    LOCK TABLE bustard.cache IN SHARE ROW EXCLUSIVE MODE;
    SELECT c.id, c.app, c.active INTO found_id, found_app, found_active
    FROM bustard.cache AS c WHERE c.name OPERATOR(pg_catalog.=) $1;
    IF found_active THEN
        RAISE EXCEPTION USING
            ERRCODE = '42710',
            MESSAGE = pg_catalog.format('cache "%s" is already registered', $1)
                OPERATOR(pg_catalog.||) COALESCE(' by app "' OPERATOR(pg_catalog.||) found_app OPERATOR(pg_catalog.||) '"', ''),
            HINT = 'Choose another name, or unregister it first.';
    ELSIF found_id IS NULL THEN
        INSERT INTO bustard.cache AS c (id, name, app, active)
        SELECT pg_catalog.max(o.id) OPERATOR(pg_catalog.+) 1, $1, $2, true FROM bustard.cache AS o
        RETURNING c.id INTO found_id;
    ELSE
        UPDATE bustard.cache AS c SET app = $2, active = true, registered_at = pg_catalog.now()
        WHERE c.id OPERATOR(pg_catalog.=) found_id;
    END IF;
    -- This event makes all versions obsolete that were read before this registration, or
    -- in a registration that was rolled back.
    INSERT INTO bustard.event (cache_id) VALUES (found_id);
END
$$;

REVOKE EXECUTE ON FUNCTION bustard.register_cache(pg_catalog.text, pg_catalog.text) FROM PUBLIC;
