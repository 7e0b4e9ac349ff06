-- What a trigger on a tracked table does. Its argument is the cache's name, since
-- that means the same wherever the table is restored. A statement that has changed
-- no row invalidates nothing.
CREATE OR REPLACE FUNCTION bustard.table_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF TG_OP OPERATOR(pg_catalog.=) 'TRUNCATE' THEN
        INSERT INTO bustard.event (cache_id)
        SELECT c.id FROM bustard.cache AS c
        WHERE c.name OPERATOR(pg_catalog.=) TG_ARGV[0] AND c.active;
    ELSE
        INSERT INTO bustard.event (cache_id)
        SELECT c.id FROM bustard.cache AS c
        WHERE c.name OPERATOR(pg_catalog.=) TG_ARGV[0] AND c.active AND EXISTS (SELECT FROM changed);
    END IF;
    IF FOUND OR pg_catalog.current_setting('transaction_isolation')
                OPERATOR(pg_catalog.<>) ALL ('{repeatable read,serializable}'::pg_catalog.text[]) THEN
        RETURN NULL;
    END IF;

    -- A transaction that keeps one snapshot may have taken it before the cache was
    -- registered. What it writes counts all the same, for all caches, since the
    -- snapshot does not show this one.
    PERFORM FROM bustard.cache AS c WHERE c.name OPERATOR(pg_catalog.=) TG_ARGV[0] AND c.active;
    IF FOUND THEN
        RETURN NULL;
    ELSIF TG_OP OPERATOR(pg_catalog.=) 'TRUNCATE' THEN
        INSERT INTO bustard.event (cache_id) VALUES (1);
    ELSE
        INSERT INTO bustard.event (cache_id) SELECT 1 WHERE EXISTS (SELECT FROM changed);
    END IF;
    RETURN NULL;
END
$$;

REVOKE EXECUTE ON FUNCTION bustard.table_changed() FROM PUBLIC;
