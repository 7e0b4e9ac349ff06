-- bustard: depends on bustard R__share

-- Returns the complete count and nonce behind a cache's version. `own` says whether the
-- open transaction has itself invalidated the cache. If it has, no data that it reads may
-- be cached.
CREATE OR REPLACE FUNCTION bustard.identity(
    name pg_catalog.text, OUT app pg_catalog.text, OUT n bigint, OUT nonce bigint, OUT own boolean
) RETURNS record
LANGUAGE plpgsql STABLE SECURITY DEFINER SET enable_seqscan = off AS $$
DECLARE
    wanted integer;
BEGIN
    SELECT c.id, c.app INTO wanted, app
    FROM bustard.cache AS c
    WHERE c.name OPERATOR(pg_catalog.=) $1 AND c.active;
    IF NOT FOUND THEN
        PERFORM bustard.unknown_cache($1);
    END IF;
    SELECT pg_catalog.sum(s.n)::bigint, pg_catalog.bit_xor(s.nonce), pg_catalog.bool_or(s.own) INTO n, nonce, own
    FROM (
        SELECT b.n, b.nonce, false AS own FROM bustard.base AS b
        WHERE b.cache_id OPERATOR(pg_catalog.=) ANY (ARRAY[1, wanted])
      UNION ALL
        SELECT 1::bigint, e.nonce, e.xid OPERATOR(pg_catalog.=) COALESCE(pg_catalog.pg_current_xact_id_if_assigned(), '0'::pg_catalog.xid8)
        FROM bustard.unfolded AS e
        WHERE e.cache_id OPERATOR(pg_catalog.=) ANY (ARRAY[1, wanted])
    ) AS s;
END
$$;

SELECT bustard.share('identity', 'EXECUTE', 'FUNCTION bustard.identity(pg_catalog.text)');
