-- bustard: depends on bustard R__share

-- Returns the rows that a process reads to keep its snapshot current. The first row has
-- no name. It is the total of all caches, which every invalidation, registration and
-- unregistration changes. If it equals `known_n` and `known_nonce`, it is the only row.
-- Otherwise the rows of the wanted caches follow, or of all caches if `wanted` is null.
-- `unfolded` tells the caller to call bustard.fold() if it is above 1000. It is also above
-- 1000 if the cluster's transaction numbers have gone back: then a fold writes a new horizon.
CREATE OR REPLACE FUNCTION bustard.snapshot(
    known_n bigint, known_nonce bigint, wanted pg_catalog.text[],
    OUT name pg_catalog.text, OUT app pg_catalog.text, OUT n bigint, OUT nonce bigint, OUT unfolded bigint
) RETURNS SETOF record
LANGUAGE plpgsql STABLE SECURITY DEFINER SET enable_seqscan = off AS $$
DECLARE
    all_n     bigint;
    all_nonce bigint;
    ids       integer[];
    ns        bigint[];
    nonces    bigint[];
BEGIN
    -- Events are read once. The queries below use the sums for each cache: `ids`, `ns`
    -- and `nonces`.
    SELECT b.n OPERATOR(pg_catalog.+) u.n, b.nonce OPERATOR(pg_catalog.#) u.nonce,
           CASE WHEN b.stale THEN GREATEST(u.n, 1001) ELSE u.n END,
           a.n OPERATOR(pg_catalog.+) u.all_n, a.nonce OPERATOR(pg_catalog.#) u.all_nonce, u.ids, u.ns, u.nonces
    INTO n, nonce, unfolded, all_n, all_nonce, ids, ns, nonces
    FROM (SELECT pg_catalog.sum(o.n)::bigint AS n, pg_catalog.bit_xor(o.nonce) AS nonce,
                 COALESCE(pg_catalog.bool_or(o.horizon OPERATOR(pg_catalog.>)
                     pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())), false) AS stale
          FROM bustard.base AS o WHERE o.cache_id OPERATOR(pg_catalog.=) 0) AS b,
         (SELECT pg_catalog.sum(o.n)::bigint AS n, pg_catalog.bit_xor(o.nonce) AS nonce
          FROM bustard.base AS o WHERE o.cache_id OPERATOR(pg_catalog.=) 1) AS a,
         (SELECT COALESCE(pg_catalog.sum(r.n), 0)::bigint AS n, COALESCE(pg_catalog.bit_xor(r.nonce), 0) AS nonce,
                 COALESCE(pg_catalog.sum(r.n) FILTER (WHERE r.cache_id OPERATOR(pg_catalog.=) 1), 0)::bigint AS all_n,
                 COALESCE(pg_catalog.bit_xor(r.nonce) FILTER (WHERE r.cache_id OPERATOR(pg_catalog.=) 1), 0) AS all_nonce,
                 pg_catalog.array_agg(r.cache_id) AS ids, pg_catalog.array_agg(r.n) AS ns,
                 pg_catalog.array_agg(r.nonce) AS nonces
          FROM (SELECT e.cache_id, pg_catalog.count(*) AS n, pg_catalog.bit_xor(e.nonce) AS nonce
                FROM bustard.unfolded AS e GROUP BY e.cache_id) AS r) AS u;
    RETURN NEXT;
    IF n OPERATOR(pg_catalog.=) known_n AND nonce OPERATOR(pg_catalog.=) known_nonce THEN
        RETURN;
    END IF;

    -- For few wanted caches, planning the last query of this function takes longer than
    -- running it. This query is written so that the planner cannot look into its
    -- sub-selects. So one plan serves all calls of a session, and it uses the indexes even
    -- if the tables were small when the plan was made.
    IF pg_catalog.cardinality(wanted) OPERATOR(pg_catalog.<=) 100 AND pg_catalog.cardinality(ids) OPERATOR(pg_catalog.<=) 100 THEN
        RETURN QUERY
            SELECT k.name::pg_catalog.text, k.app,
                   all_n OPERATOR(pg_catalog.+) COALESCE(k.n, 0) OPERATOR(pg_catalog.+) COALESCE(ns[k.at], 0),
                   all_nonce OPERATOR(pg_catalog.#) COALESCE(k.nonce, 0) OPERATOR(pg_catalog.#) COALESCE(nonces[k.at], 0),
                   NULL::bigint
            FROM pg_catalog.unnest((SELECT wanted)) AS w (name)
                CROSS JOIN LATERAL (
                    SELECT c.name, c.app, b.n, b.nonce, pg_catalog.array_position(ids, c.id) AS at
                    FROM bustard.cache AS c
                        CROSS JOIN LATERAL (
                            SELECT pg_catalog.sum(o.n)::bigint AS n, pg_catalog.bit_xor(o.nonce) AS nonce
                            FROM bustard.base AS o WHERE o.cache_id OPERATOR(pg_catalog.=) c.id
                        ) AS b
                    WHERE c.active AND c.name OPERATOR(pg_catalog.=) w.name
                    OFFSET 0
                ) AS k;
        RETURN;
    END IF;

    RETURN QUERY
        SELECT c.name::pg_catalog.text, c.app,
               all_n OPERATOR(pg_catalog.+) COALESCE(b.n, 0) OPERATOR(pg_catalog.+) COALESCE(r.n, 0),
               all_nonce OPERATOR(pg_catalog.#) COALESCE(b.nonce, 0) OPERATOR(pg_catalog.#) COALESCE(r.nonce, 0),
               NULL::bigint
        FROM bustard.cache AS c
            LEFT JOIN (
                SELECT o.cache_id, pg_catalog.sum(o.n)::bigint AS n, pg_catalog.bit_xor(o.nonce) AS nonce
                FROM bustard.base AS o GROUP BY o.cache_id
            ) AS b ON b.cache_id OPERATOR(pg_catalog.=) c.id
            LEFT JOIN ROWS FROM (pg_catalog.unnest(ids), pg_catalog.unnest(ns), pg_catalog.unnest(nonces))
                AS r (cache_id, n, nonce) ON r.cache_id OPERATOR(pg_catalog.=) c.id
        WHERE c.active AND (wanted IS NULL OR c.name OPERATOR(pg_catalog.=) ANY (wanted));
END
$$;

SELECT bustard.share('snapshot', 'EXECUTE', 'FUNCTION bustard.snapshot(bigint, bigint, pg_catalog.text[])');
