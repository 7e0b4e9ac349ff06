-- bustard: depends on bustard R__share

-- Invalidates the named caches: inserts one event for each, and reads neither
-- bustard.event nor bustard.base. An unknown name is an error. A repeated name counts
-- once. An empty array does nothing.
CREATE OR REPLACE FUNCTION bustard.invalidate(VARIADIC names pg_catalog.text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    added bigint;
    asked pg_catalog.text;
BEGIN
    -- One name is the common case. This branch makes that case faster.
    IF pg_catalog.cardinality($1) OPERATOR(pg_catalog.=) 1 THEN
        INSERT INTO bustard.event (cell)
        SELECT c.id::bigint OPERATOR(pg_catalog.<<) 12 FROM bustard.cache AS c
        WHERE c.name OPERATOR(pg_catalog.=) $1[1] AND c.active;
        IF FOUND THEN
            RETURN;
        END IF;
    END IF;

    IF $1 IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'the array of cache names must not be null';
    END IF;
    INSERT INTO bustard.event (cell)
    SELECT c.id::bigint OPERATOR(pg_catalog.<<) 12 FROM bustard.cache AS c
    WHERE c.name OPERATOR(pg_catalog.=) ANY ($1) AND c.active;
    GET DIAGNOSTICS added = ROW_COUNT;
    IF added OPERATOR(pg_catalog.<) pg_catalog.cardinality($1) THEN
        FOREACH asked IN ARRAY $1 LOOP
            PERFORM FROM bustard.cache AS c WHERE c.name OPERATOR(pg_catalog.=) asked AND c.active;
            IF NOT FOUND THEN
                PERFORM bustard.unknown_cache(asked);
            END IF;
        END LOOP;
    END IF;
END
$$;

SELECT bustard.share('invalidate', 'EXECUTE', 'FUNCTION bustard.invalidate(pg_catalog.text[])');
