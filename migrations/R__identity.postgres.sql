-- bustard: depends on bustard R__share

-- Returns the complete count and nonce behind a cache's version. `own` says whether the
-- open transaction has itself invalidated the cache. If it has, no data that it reads may
-- be cached.
CREATE OR REPLACE FUNCTION bustard.identity(
    name pg_catalog.text, OUT app pg_catalog.text, OUT n bigint, OUT nonce bigint, OUT own boolean
) RETURNS record
LANGUAGE plpgsql STABLE SECURITY DEFINER SET enable_seqscan = off AS $$
DECLARE
    cells bigint[];
    carry bigint[];
BEGIN
    SELECT ARRAY[4096::bigint, c.id::bigint OPERATOR(pg_catalog.<<) 12] OPERATOR(pg_catalog.||) ARRAY(
               SELECT i.id::bigint OPERATOR(pg_catalog.<<) 12
               FROM pg_catalog.unnest(c.wide OPERATOR(pg_catalog.||) c.keyed) AS i (id)),
           ARRAY[c.carry_n, c.carry_nonce], c.app
    INTO cells, carry, app
    FROM bustard.cache AS c
    WHERE c.name OPERATOR(pg_catalog.=) $1 AND c.active;
    IF NOT FOUND THEN
        PERFORM bustard.unknown_cache($1);
    END IF;
    SELECT pg_catalog.sum(s.n)::bigint OPERATOR(pg_catalog.+) carry[1],
           pg_catalog.bit_xor(s.nonce) OPERATOR(pg_catalog.#) carry[2], pg_catalog.bool_or(s.own)
    INTO n, nonce, own
    FROM (
        SELECT b.n, b.nonce, false AS own FROM bustard.base AS b
        WHERE b.cell OPERATOR(pg_catalog.=) ANY (cells)
      UNION ALL
        SELECT 1::bigint, e.nonce, e.xid OPERATOR(pg_catalog.=) COALESCE(pg_catalog.pg_current_xact_id_if_assigned(), '0'::pg_catalog.xid8)
        FROM bustard.unfolded AS e
        WHERE e.cell OPERATOR(pg_catalog.=) ANY (cells)
    ) AS s;
END
$$;

SELECT bustard.share('identity', 'EXECUTE', 'FUNCTION bustard.identity(pg_catalog.text)');
