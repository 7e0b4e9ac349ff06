-- bustard: depends on bustard R__share

-- Returns what a process reads to keep its snapshot of the keys of these caches current: one
-- row for each that is registered. `rule` is null if the cache has no keys. `sum_n` and
-- `sum_nonce` are the sum of its buckets, from slot 1 of its sources and from events.
-- `buckets`, `ns` and `nonces` are buckets, with all that each has come to, in the cache and
-- its keyed sources together. Buckets that are not listed have no invalidations or, if
-- `is_delta`, have not changed since the snapshot `known_mark`. A row is a delta if
-- `known_sources` has the cache's sources as the last call returned them in `sources`.
--
-- bustard.fold may not list a change: it lists the last 100 folds, and a snapshot on a hot
-- standby does not list the transactions that were running. So the reader must add up its
-- buckets, and read all of them again if they do not come to the sum. It calls this in the
-- statement of bustard.snapshot(), and passes the total of that function. There is no row if
-- that is the known total.
CREATE OR REPLACE FUNCTION bustard.snapshot_keys(
    n bigint, nonce bigint, known_n bigint, known_nonce bigint,
    names pg_catalog.text[], known_sources pg_catalog.text[], known_mark pg_catalog.text,
    OUT name pg_catalog.text, OUT rule pg_catalog.text, OUT sum_n bigint, OUT sum_nonce bigint,
    OUT sources pg_catalog.text, OUT mark pg_catalog.text, OUT is_delta boolean,
    OUT buckets bigint[], OUT ns bigint[], OUT nonces bigint[]
) RETURNS SETOF record
LANGUAGE plpgsql STABLE SECURITY DEFINER SET enable_seqscan = off SET jit = off AS $$
DECLARE
    since   pg_catalog.pg_snapshot := $7::pg_catalog.pg_snapshot;
    cells   bigint[];
    cell_ns bigint[];
    xors    bigint[];
    moved   bigint[];
BEGIN
    IF $1 OPERATOR(pg_catalog.=) $3 AND $2 OPERATOR(pg_catalog.=) $4 THEN
        RETURN;
    END IF;
    -- Events are read once, and so are the folds.
    SELECT pg_catalog.array_agg(e.cell), pg_catalog.array_agg(e.n), pg_catalog.array_agg(e.nonce) INTO cells, cell_ns, xors
    FROM (SELECT u.cell, pg_catalog.count(*) AS n, pg_catalog.bit_xor(u.nonce) AS nonce FROM bustard.unfolded AS u
          WHERE (u.cell OPERATOR(pg_catalog.&) 4095) OPERATOR(pg_catalog.>=) 2 GROUP BY u.cell) AS e;
    SELECT pg_catalog.array_agg(DISTINCT c.cell) INTO moved
    FROM bustard.fold AS f CROSS JOIN LATERAL pg_catalog.unnest(f.cells) AS c (cell)
    WHERE NOT pg_catalog.pg_visible_in_snapshot(f.xid, since);

    RETURN QUERY
        WITH wanted AS MATERIALIZED (
            SELECT c.name::pg_catalog.text AS name, CASE WHEN c.keyed OPERATOR(pg_catalog.<>) '{}' THEN c.rule END AS rule,
                   s.ids, s.ids::pg_catalog.text AS sources,
                   since IS NOT NULL AND COALESCE(s.ids::pg_catalog.text OPERATOR(pg_catalog.=) w.sources, false) AS is_delta
            FROM ROWS FROM (pg_catalog.unnest($5), pg_catalog.unnest($6)) AS w (name, sources)
                JOIN bustard.cache AS c ON c.name OPERATOR(pg_catalog.=) w.name AND c.active
                CROSS JOIN LATERAL (SELECT c.id OPERATOR(pg_catalog.||) c.keyed AS ids) AS s
        ), source AS MATERIALIZED (
            SELECT w.name, w.is_delta, i.id::bigint OPERATOR(pg_catalog.<<) 12 AS cell
            FROM wanted AS w CROSS JOIN LATERAL pg_catalog.unnest(w.ids) AS i (id)
            WHERE w.rule IS NOT NULL
        ), recent AS MATERIALIZED (
            SELECT r.cell, r.cell OPERATOR(pg_catalog.&) (-4096)::bigint AS source, r.n, r.nonce
            FROM ROWS FROM (pg_catalog.unnest(cells), pg_catalog.unnest(cell_ns), pg_catalog.unnest(xors)) AS r (cell, n, nonce)
        ), asked AS MATERIALIZED (
            -- A bucket of a source leads to that bucket in each source of the cache.
            SELECT DISTINCT s.name, t.slot
            FROM source AS s
                JOIN (SELECT r.cell OPERATOR(pg_catalog.&) 4095 AS slot, r.source FROM recent AS r
                    UNION SELECT m.cell OPERATOR(pg_catalog.&) 4095, m.cell OPERATOR(pg_catalog.&) (-4096)::bigint
                    FROM pg_catalog.unnest(moved) AS m (cell)) AS t ON t.source OPERATOR(pg_catalog.=) s.cell
            WHERE s.is_delta
        ), part AS (
            SELECT s.name, r.cell OPERATOR(pg_catalog.&) 4095 AS slot, r.n, r.nonce
            FROM source AS s JOIN recent AS r ON r.source OPERATOR(pg_catalog.=) s.cell
          UNION ALL
            SELECT s.name, b.cell OPERATOR(pg_catalog.&) 4095, b.n, b.nonce
            FROM source AS s JOIN bustard.base AS b
                ON b.cell OPERATOR(pg_catalog.>=) (s.cell OPERATOR(pg_catalog.+) 2::bigint) AND b.cell OPERATOR(pg_catalog.<=) (s.cell OPERATOR(pg_catalog.+) 4095::bigint)
            WHERE NOT s.is_delta
          UNION ALL
            SELECT s.name, a.slot, b.n, b.nonce
            FROM source AS s JOIN asked AS a ON a.name OPERATOR(pg_catalog.=) s.name
                JOIN bustard.base AS b ON b.cell OPERATOR(pg_catalog.=) (s.cell OPERATOR(pg_catalog.|) a.slot)
            WHERE s.is_delta
        ), bucket AS MATERIALIZED (
            SELECT p.name, p.slot, pg_catalog.sum(p.n)::bigint AS n, pg_catalog.bit_xor(p.nonce) AS nonce
            FROM part AS p GROUP BY p.name, p.slot
        ), listed AS MATERIALIZED (
            SELECT u.name, pg_catalog.array_agg(u.slot OPERATOR(pg_catalog.-) 2) AS buckets, pg_catalog.array_agg(u.n) AS ns,
                   pg_catalog.array_agg(u.nonce) AS nonces
            FROM bucket AS u GROUP BY u.name
        ), total AS MATERIALIZED (
            SELECT o.name, pg_catalog.sum(o.n)::bigint AS n, pg_catalog.bit_xor(o.nonce) AS nonce
            FROM (SELECT s.name, b.n, b.nonce FROM source AS s
                      JOIN bustard.base AS b ON b.cell OPERATOR(pg_catalog.=) (s.cell OPERATOR(pg_catalog.|) 1::bigint)
                UNION ALL
                  SELECT s.name, r.n, r.nonce FROM source AS s JOIN recent AS r ON r.source OPERATOR(pg_catalog.=) s.cell) AS o
            GROUP BY o.name
        )
        SELECT w.name, w.rule, COALESCE(t.n, 0), COALESCE(t.nonce, 0), w.sources,
               pg_catalog.pg_current_snapshot()::pg_catalog.text, w.is_delta,
               COALESCE(l.buckets, '{}'), COALESCE(l.ns, '{}'), COALESCE(l.nonces, '{}')
        FROM wanted AS w
            LEFT JOIN total AS t ON t.name OPERATOR(pg_catalog.=) w.name
            LEFT JOIN listed AS l ON l.name OPERATOR(pg_catalog.=) w.name;
END
$$;

SELECT bustard.share('snapshot_keys', 'EXECUTE', 'FUNCTION bustard.snapshot_keys(bigint, bigint, bigint, bigint, pg_catalog.text[], pg_catalog.text[], pg_catalog.text)');
