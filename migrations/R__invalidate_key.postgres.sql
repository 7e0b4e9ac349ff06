-- bustard: depends on bustard R__share

-- Invalidates keys of a cache: inserts one event for each bucket, and reads neither
-- bustard.event nor bustard.base. A key of several columns is an array with a value for each,
-- and then it is the only key of the call. Raises 42704 for an unknown cache, 42809 for a
-- cache without keys, and 22P02 for a key of another type.
CREATE OR REPLACE FUNCTION bustard.invalidate_key(name pg_catalog.text, key pg_catalog.text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO bustard.event (cell)
    SELECT (c.id OPERATOR(pg_catalog.<<) 12) OPERATOR(pg_catalog.+) COALESCE(2 OPERATOR(pg_catalog.+) bustard.key_bucket($1, c.rule, $2), 0)
    FROM bustard.cache_key_rule($1) AS c;
END
$$;

SELECT bustard.share('invalidate_key', 'EXECUTE', 'FUNCTION bustard.invalidate_key(pg_catalog.text, pg_catalog.text[])');

CREATE OR REPLACE FUNCTION bustard.invalidate_key(name pg_catalog.text, key pg_catalog.text, VARIADIC more pg_catalog.text[] DEFAULT '{}') RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO bustard.event (cell)
    SELECT DISTINCT (c.id OPERATOR(pg_catalog.<<) 12)
        OPERATOR(pg_catalog.+) COALESCE(2 OPERATOR(pg_catalog.+) bustard.key_bucket($1, c.rule, ARRAY[k.key]), 0)
    FROM bustard.cache_key_rule($1) AS c, pg_catalog.unnest($2 OPERATOR(pg_catalog.||) $3) AS k (key);
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
