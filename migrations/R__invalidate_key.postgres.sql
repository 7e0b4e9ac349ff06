-- bustard: depends on bustard R__share

-- Invalidates keys of a cache: inserts one event for each bucket, and reads neither
-- bustard.event nor bustard.base. A key of several columns is an array with a value for each,
-- and then it is the only key of the call. Raises 42704 for an unknown cache, 42809 for a
-- cache without keys, and 22P02 for a key of another type.
CREATE OR REPLACE FUNCTION bustard.invalidate_key(name pg_catalog.text, key pg_catalog.text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    cache pg_catalog.record;
BEGIN
    SELECT c.id, CASE WHEN c.keyed OPERATOR(pg_catalog.<>) '{}' THEN c.rule END AS rule INTO cache
    FROM bustard.cache AS c WHERE c.name OPERATOR(pg_catalog.=) $1 AND c.active;
    IF NOT FOUND THEN
        PERFORM bustard.unknown_cache($1);
    END IF;
    INSERT INTO bustard.event (cell) VALUES ((cache.id::bigint OPERATOR(pg_catalog.<<) 12)
        OPERATOR(pg_catalog.+) COALESCE(2 OPERATOR(pg_catalog.+) bustard.key_bucket($1, cache.rule, $2), 0));
END
$$;

SELECT bustard.share('invalidate_key', 'EXECUTE', 'FUNCTION bustard.invalidate_key(pg_catalog.text, pg_catalog.text[])');

CREATE OR REPLACE FUNCTION bustard.invalidate_key(name pg_catalog.text, key pg_catalog.text, VARIADIC more pg_catalog.text[] DEFAULT '{}') RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    cache pg_catalog.record;
BEGIN
    SELECT c.id, CASE WHEN c.keyed OPERATOR(pg_catalog.<>) '{}' THEN c.rule END AS rule INTO cache
    FROM bustard.cache AS c WHERE c.name OPERATOR(pg_catalog.=) $1 AND c.active;
    IF NOT FOUND THEN
        PERFORM bustard.unknown_cache($1);
    END IF;
    INSERT INTO bustard.event (cell)
    SELECT DISTINCT (cache.id::bigint OPERATOR(pg_catalog.<<) 12)
        OPERATOR(pg_catalog.+) COALESCE(2 OPERATOR(pg_catalog.+) bustard.key_bucket($1, cache.rule, ARRAY[k.key]), 0)
    FROM pg_catalog.unnest($2 OPERATOR(pg_catalog.||) $3) AS k (key);
END
$$;

SELECT bustard.share('invalidate_key', 'EXECUTE', 'FUNCTION bustard.invalidate_key(pg_catalog.text, pg_catalog.text, pg_catalog.text[])');

CREATE OR REPLACE FUNCTION bustard.invalidate_key(name pg_catalog.text, key bigint, VARIADIC more bigint[] DEFAULT '{}') RETURNS void
LANGUAGE sql AS $$
    SELECT bustard.invalidate_key($1, $2::pg_catalog.text, VARIADIC $3::pg_catalog.text[])
$$;

SELECT bustard.share('invalidate_key', 'EXECUTE', 'FUNCTION bustard.invalidate_key(pg_catalog.text, bigint, bigint[])');

CREATE OR REPLACE FUNCTION bustard.invalidate_key(name pg_catalog.text, key pg_catalog.uuid, VARIADIC more pg_catalog.uuid[] DEFAULT '{}') RETURNS void
LANGUAGE sql AS $$
    SELECT bustard.invalidate_key($1, $2::pg_catalog.text, VARIADIC $3::pg_catalog.text[])
$$;

SELECT bustard.share('invalidate_key', 'EXECUTE', 'FUNCTION bustard.invalidate_key(pg_catalog.text, pg_catalog.uuid, pg_catalog.uuid[])');
