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
LANGUAGE plpgsql STABLE SECURITY DEFINER SET enable_seqscan = off SET jit = off AS $$
DECLARE
    all_n     bigint;
    all_nonce bigint;
    cells     bigint[];
    ns        bigint[];
    nonces    bigint[];
BEGIN
    -- Events are read once. The queries below use the sums for each source: `cells`, `ns`
    -- and `nonces`.
    SELECT b.n OPERATOR(pg_catalog.+) u.n, b.nonce OPERATOR(pg_catalog.#) u.nonce,
           CASE WHEN b.stale THEN GREATEST(u.n, 1001) ELSE u.n END,
           a.n OPERATOR(pg_catalog.+) u.all_n, a.nonce OPERATOR(pg_catalog.#) u.all_nonce, u.cells, u.ns, u.nonces
    INTO n, nonce, unfolded, all_n, all_nonce, cells, ns, nonces
    FROM (SELECT pg_catalog.sum(o.n)::bigint AS n, pg_catalog.bit_xor(o.nonce) AS nonce,
                 COALESCE(pg_catalog.bool_or(o.horizon OPERATOR(pg_catalog.>)
                     pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())), false) AS stale
          FROM bustard.base AS o WHERE o.cell OPERATOR(pg_catalog.=) 0) AS b,
         (SELECT pg_catalog.sum(o.n)::bigint AS n, pg_catalog.bit_xor(o.nonce) AS nonce
          FROM bustard.base AS o WHERE o.cell OPERATOR(pg_catalog.=) 4096) AS a,
         (SELECT COALESCE(pg_catalog.sum(r.n), 0)::bigint AS n, COALESCE(pg_catalog.bit_xor(r.nonce), 0) AS nonce,
                 COALESCE(pg_catalog.sum(r.n) FILTER (WHERE r.cell OPERATOR(pg_catalog.=) 4096), 0)::bigint AS all_n,
                 COALESCE(pg_catalog.bit_xor(r.nonce) FILTER (WHERE r.cell OPERATOR(pg_catalog.=) 4096), 0) AS all_nonce,
                 pg_catalog.array_agg(r.cell) AS cells, pg_catalog.array_agg(r.n) AS ns,
                 pg_catalog.array_agg(r.nonce) AS nonces
          FROM (SELECT e.cell OPERATOR(pg_catalog.&) (-4096)::bigint AS cell, pg_catalog.count(*) AS n, pg_catalog.bit_xor(e.nonce) AS nonce
                FROM bustard.unfolded AS e GROUP BY 1) AS r) AS u;
    RETURN NEXT;
    IF n OPERATOR(pg_catalog.=) known_n AND nonce OPERATOR(pg_catalog.=) known_nonce THEN
        RETURN;
    END IF;

    -- For few wanted caches, planning the last query of this function takes longer than
    -- running it. This query is written so that the planner cannot look into its
    -- sub-selects. So one plan serves all calls of a session, and it uses the indexes even
    -- if the tables were small when the plan was made.
    IF pg_catalog.cardinality(wanted) OPERATOR(pg_catalog.<=) 100 AND pg_catalog.cardinality(cells) OPERATOR(pg_catalog.<=) 100 THEN
        RETURN QUERY
            SELECT k.name::pg_catalog.text, k.app,
                   all_n OPERATOR(pg_catalog.+) k.carry_n OPERATOR(pg_catalog.+) COALESCE(k.n, 0),
                   all_nonce OPERATOR(pg_catalog.#) k.carry_nonce OPERATOR(pg_catalog.#) COALESCE(k.nonce, 0),
                   NULL::bigint
            FROM pg_catalog.unnest((SELECT wanted)) AS w (name)
                CROSS JOIN LATERAL (
                    SELECT c.name, c.app, c.carry_n, c.carry_nonce, s.n, s.nonce
                    FROM bustard.cache AS c
                        CROSS JOIN LATERAL (
                            SELECT pg_catalog.sum(o.n)::bigint AS n, pg_catalog.bit_xor(o.nonce) AS nonce
                            FROM pg_catalog.unnest(c.id OPERATOR(pg_catalog.||) (c.wide OPERATOR(pg_catalog.||) c.keyed)) AS i (id)
                                CROSS JOIN LATERAL (
                                    SELECT b.n, b.nonce FROM bustard.base AS b
                                    WHERE b.cell OPERATOR(pg_catalog.=) ANY (ARRAY[i.id::bigint OPERATOR(pg_catalog.<<) 12, (i.id::bigint OPERATOR(pg_catalog.<<) 12) OPERATOR(pg_catalog.|) 1])
                                  UNION ALL
                                    SELECT ns[p.at], nonces[p.at]
                                    FROM (SELECT pg_catalog.array_position(cells, i.id::bigint OPERATOR(pg_catalog.<<) 12) AS at) AS p
                                    WHERE p.at IS NOT NULL
                                ) AS o
                        ) AS s
                    WHERE c.active AND c.name OPERATOR(pg_catalog.=) w.name
                    OFFSET 0
                ) AS k;
        RETURN;
    END IF;

    RETURN QUERY
        WITH summed AS MATERIALIZED (
            SELECT o.cell OPERATOR(pg_catalog.&) (-4096)::bigint AS cell, pg_catalog.sum(o.n)::bigint AS n, pg_catalog.bit_xor(o.nonce) AS nonce
            FROM (
                SELECT b.cell, b.n, b.nonce FROM bustard.base AS b WHERE (b.cell OPERATOR(pg_catalog.&) 4095) OPERATOR(pg_catalog.<) 2
              UNION ALL
                SELECT r.cell, r.n, r.nonce
                FROM ROWS FROM (pg_catalog.unnest(cells), pg_catalog.unnest(ns), pg_catalog.unnest(nonces)) AS r (cell, n, nonce)
            ) AS o
            GROUP BY 1
        ), listed AS MATERIALIZED (
            SELECT c.id, pg_catalog.sum(s.n)::bigint AS n, pg_catalog.bit_xor(s.nonce) AS nonce
            FROM bustard.cache AS c
                CROSS JOIN LATERAL pg_catalog.unnest(c.wide OPERATOR(pg_catalog.||) c.keyed) AS i (id)
                JOIN summed AS s ON s.cell OPERATOR(pg_catalog.=) (i.id::bigint OPERATOR(pg_catalog.<<) 12)
            WHERE c.active AND (wanted IS NULL OR c.name OPERATOR(pg_catalog.=) ANY (wanted))
            GROUP BY c.id
        )
        SELECT c.name::pg_catalog.text, c.app,
               all_n OPERATOR(pg_catalog.+) c.carry_n OPERATOR(pg_catalog.+) COALESCE(s.n, 0) OPERATOR(pg_catalog.+) COALESCE(l.n, 0),
               all_nonce OPERATOR(pg_catalog.#) c.carry_nonce OPERATOR(pg_catalog.#) COALESCE(s.nonce, 0)
                   OPERATOR(pg_catalog.#) COALESCE(l.nonce, 0),
               NULL::bigint
        FROM bustard.cache AS c
            LEFT JOIN summed AS s ON s.cell OPERATOR(pg_catalog.=) (c.id::bigint OPERATOR(pg_catalog.<<) 12)
            LEFT JOIN listed AS l ON l.id OPERATOR(pg_catalog.=) c.id
        WHERE c.active AND (wanted IS NULL OR c.name OPERATOR(pg_catalog.=) ANY (wanted));
END
$$;

SELECT bustard.share('snapshot', 'EXECUTE', 'FUNCTION bustard.snapshot(bigint, bigint, pg_catalog.text[])');
