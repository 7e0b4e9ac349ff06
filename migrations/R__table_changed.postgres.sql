-- Invalidates a cache from a trigger on a tracked table. The argument of the trigger is
-- the name of the cache and not its id, because the name has the same meaning in every
-- database that the table is restored to. A statement that changes no row invalidates
-- nothing.
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

    -- The snapshot of this transaction may be from before the registration of the cache.
    -- Then it does not show the cache's id, so the write invalidates all caches.
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
