-- bustard: depends on bustard R__share

-- Returns the complete count and nonce behind a cache's version. `own` says whether the
-- open transaction has itself invalidated the cache. If it has, no data that it reads may
-- be cached.
CREATE OR REPLACE FUNCTION bustard.identity(
    name pg_catalog.text, OUT app pg_catalog.text, OUT n bigint, OUT nonce bigint, OUT own boolean
) RETURNS record
LANGUAGE plpgsql STABLE SECURITY DEFINER SET enable_seqscan = off AS $$
DECLARE
    ids   bigint[];
    cells bigint[];
    carry bigint[];
BEGIN
    SELECT ARRAY[1, c.id] OPERATOR(pg_catalog.||) c.wide OPERATOR(pg_catalog.||) c.keyed,
           ARRAY(
               SELECT (i.id::bigint OPERATOR(pg_catalog.<<) 12) OPERATOR(pg_catalog.|) s.slot
               FROM pg_catalog.unnest(ARRAY[1, c.id] OPERATOR(pg_catalog.||) c.wide OPERATOR(pg_catalog.||) c.keyed) AS i (id),
                   pg_catalog.unnest('{0,1}'::bigint[]) AS s (slot)),
           ARRAY[c.carry_n, c.carry_nonce], c.app
    INTO ids, cells, carry, app
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
        WHERE (e.cell OPERATOR(pg_catalog.>>) 12) OPERATOR(pg_catalog.=) ANY (ids)
    ) AS s;
END
$$;

SELECT bustard.share('identity', 'EXECUTE', 'FUNCTION bustard.identity(pg_catalog.text)');

-- Does the same for a key of a cache. `own` says whether the open transaction has invalidated
-- any key of the cache.
CREATE OR REPLACE FUNCTION bustard.identity(
    name pg_catalog.text, key pg_catalog.text[], OUT app pg_catalog.text, OUT n bigint, OUT nonce bigint, OUT own boolean
) RETURNS record
LANGUAGE plpgsql STABLE SECURITY DEFINER SET enable_seqscan = off AS $$
DECLARE
    ids   bigint[];
    cells bigint[];
    carry bigint[];
BEGIN
    SELECT ARRAY[1, c.id] OPERATOR(pg_catalog.||) c.wide OPERATOR(pg_catalog.||) c.keyed,
           ARRAY(
               SELECT i.id::bigint OPERATOR(pg_catalog.<<) 12
               FROM pg_catalog.unnest(ARRAY[1, c.id] OPERATOR(pg_catalog.||) c.wide OPERATOR(pg_catalog.||) c.keyed) AS i (id)
             UNION ALL
               SELECT (i.id::bigint OPERATOR(pg_catalog.<<) 12) OPERATOR(pg_catalog.+) (2 OPERATOR(pg_catalog.+) b.bucket)
               FROM pg_catalog.unnest(c.id OPERATOR(pg_catalog.||) c.keyed) AS i (id)
               WHERE b.bucket IS NOT NULL),
           ARRAY[c.carry_n, c.carry_nonce], c.app
    INTO ids, cells, carry, app
    FROM bustard.cache AS c
        CROSS JOIN LATERAL (
            SELECT bustard.key_bucket($1, CASE WHEN c.keyed OPERATOR(pg_catalog.<>) '{}' THEN c.rule END, $2) AS bucket OFFSET 0
        ) AS b
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
        SELECT CASE WHEN k.mine THEN 1::bigint ELSE 0::bigint END, CASE WHEN k.mine THEN k.nonce ELSE 0 END, k.own
        FROM (
            SELECT e.nonce, e.cell OPERATOR(pg_catalog.=) ANY (cells) AS mine,
                   e.xid OPERATOR(pg_catalog.=) COALESCE(pg_catalog.pg_current_xact_id_if_assigned(), '0'::pg_catalog.xid8) AS own
            FROM bustard.unfolded AS e
            WHERE (e.cell OPERATOR(pg_catalog.>>) 12) OPERATOR(pg_catalog.=) ANY (ids)
        ) AS k
    ) AS s;
END
$$;

SELECT bustard.share('identity', 'EXECUTE', 'FUNCTION bustard.identity(pg_catalog.text, pg_catalog.text[])');
