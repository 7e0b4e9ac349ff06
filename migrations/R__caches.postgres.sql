-- bustard: depends on bustard R__share

-- Shows the versions of all registered caches, in the snapshot of the reading statement,
-- and the tables whose writes invalidate them, with the columns of keys.
-- The upper bound on xid excludes no row. With two bounds, the planner expects few rows,
-- and so it uses the index even if the statistics are outdated. The barrier keeps the
-- server from calling a function of the reader with the names of unregistered caches.
CREATE OR REPLACE VIEW bustard.caches WITH (security_barrier) AS
WITH mark AS MATERIALIZED (
    SELECT b.horizon, b.unfinished FROM bustard.base AS b
    WHERE b.cell OPERATOR(pg_catalog.=) 0 AND b.xmin OPERATOR(pg_catalog.=) b.folder
      AND b.horizon OPERATOR(pg_catalog.<=) pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())
    ORDER BY b.horizon DESC LIMIT 1
), summed AS MATERIALIZED (
    SELECT s.cell OPERATOR(pg_catalog.&) (-4096)::bigint AS cell, pg_catalog.sum(s.n)::bigint AS n, pg_catalog.bit_xor(s.nonce) AS nonce
    FROM (
        SELECT b.cell, b.n, b.nonce FROM bustard.base AS b WHERE (b.cell OPERATOR(pg_catalog.&) 4095) OPERATOR(pg_catalog.<) 2
      UNION ALL
        SELECT o.cell, 1::bigint, o.nonce FROM bustard.event AS o
        WHERE o.xid OPERATOR(pg_catalog.>=) COALESCE((SELECT m.horizon FROM mark AS m), '0'::pg_catalog.xid8)
          AND o.xid OPERATOR(pg_catalog.<=) '18446744073709551615'::pg_catalog.xid8
      UNION ALL
        SELECT o.cell, 1::bigint, o.nonce FROM bustard.event AS o
        WHERE o.xid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT pg_catalog.unnest(m.unfinished) FROM mark AS m))
    ) AS s
    GROUP BY 1
), listed AS MATERIALIZED (
    SELECT c.id, pg_catalog.sum(s.n)::bigint AS n, pg_catalog.bit_xor(s.nonce) AS nonce
    FROM bustard.cache AS c
        CROSS JOIN LATERAL pg_catalog.unnest(c.wide OPERATOR(pg_catalog.||) c.keyed) AS i (id)
        JOIN summed AS s ON s.cell OPERATOR(pg_catalog.=) (i.id::bigint OPERATOR(pg_catalog.<<) 12)
    WHERE c.active
    GROUP BY c.id
)
SELECT c.name::pg_catalog.text AS name,
       c.app,
       (c.carry_n OPERATOR(pg_catalog.+) a.n OPERATOR(pg_catalog.+) COALESCE(s.n, 0) OPERATOR(pg_catalog.+) COALESCE(l.n, 0))
           OPERATOR(pg_catalog.*) 8388608::bigint
           OPERATOR(pg_catalog.|) ((c.carry_nonce OPERATOR(pg_catalog.#) a.nonce OPERATOR(pg_catalog.#) COALESCE(s.nonce, 0)
                                    OPERATOR(pg_catalog.#) COALESCE(l.nonce, 0)) OPERATOR(pg_catalog.&) 8388607::bigint) AS version,
       c.registered_at,
       ARRAY(SELECT pg_catalog.concat(pg_catalog.format('%I.%I', o.schema_name, o.table_name), CASE
                 WHEN pg_catalog.cardinality(o.columns) OPERATOR(pg_catalog.=) 1 THEN pg_catalog.format(' by %I', o.columns[1])
                 WHEN pg_catalog.cardinality(o.columns) OPERATOR(pg_catalog.>) 1 THEN pg_catalog.format(' by (%s)', (
                     SELECT pg_catalog.string_agg(pg_catalog.quote_ident(k.name), ', ' ORDER BY k.i)
                     FROM pg_catalog.unnest(o.columns) WITH ORDINALITY AS k (name, i))) END)
             FROM bustard.source AS o
             WHERE o.id OPERATOR(pg_catalog.=) ANY (c.wide OPERATOR(pg_catalog.||) c.keyed)
             ORDER BY o.schema_name, o.table_name, o.columns) AS tables
FROM bustard.cache AS c
    JOIN summed AS a ON a.cell OPERATOR(pg_catalog.=) 4096
    LEFT JOIN summed AS s ON s.cell OPERATOR(pg_catalog.=) (c.id::bigint OPERATOR(pg_catalog.<<) 12)
    LEFT JOIN listed AS l ON l.id OPERATOR(pg_catalog.=) c.id
WHERE c.active;

SELECT bustard.share('caches', 'SELECT', 'bustard.caches');
