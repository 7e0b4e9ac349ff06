-- bustard: depends on bustard R__share

-- Shows the versions of all registered caches, in the snapshot of the reading statement.
-- The upper bound on xid excludes no row. With two bounds, the planner expects few rows,
-- and so it uses the index even if the statistics are outdated. The barrier keeps the
-- server from calling a function of the reader with the names of unregistered caches.
CREATE OR REPLACE VIEW bustard.caches WITH (security_barrier) AS
WITH mark AS MATERIALIZED (
    SELECT b.horizon, b.unfinished FROM bustard.base AS b
    WHERE b.cache_id OPERATOR(pg_catalog.=) 0 AND b.xmin OPERATOR(pg_catalog.=) b.folder
      AND b.horizon OPERATOR(pg_catalog.<=) pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())
    ORDER BY b.horizon DESC LIMIT 1
), recent AS MATERIALIZED (
    SELECT e.cache_id, pg_catalog.count(*) AS n, pg_catalog.bit_xor(e.nonce) AS nonce
    FROM (
        SELECT o.cache_id, o.nonce FROM bustard.event AS o
        WHERE o.xid OPERATOR(pg_catalog.>=) COALESCE((SELECT m.horizon FROM mark AS m), '0'::pg_catalog.xid8)
          AND o.xid OPERATOR(pg_catalog.<=) '18446744073709551615'::pg_catalog.xid8
      UNION ALL
        SELECT o.cache_id, o.nonce FROM bustard.event AS o
        WHERE o.xid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT pg_catalog.unnest(m.unfinished) FROM mark AS m))
    ) AS e
    GROUP BY e.cache_id
), folded AS MATERIALIZED (
    SELECT b.cache_id, pg_catalog.sum(b.n)::bigint AS n, pg_catalog.bit_xor(b.nonce) AS nonce
    FROM bustard.base AS b GROUP BY b.cache_id
), everything AS MATERIALIZED (
    SELECT b.n OPERATOR(pg_catalog.+) COALESCE(r.n, 0) AS n,
           b.nonce OPERATOR(pg_catalog.#) COALESCE(r.nonce, 0) AS nonce
    FROM folded AS b LEFT JOIN recent AS r ON r.cache_id OPERATOR(pg_catalog.=) b.cache_id
    WHERE b.cache_id OPERATOR(pg_catalog.=) 1
)
SELECT c.name::pg_catalog.text AS name,
       c.app,
       (a.n OPERATOR(pg_catalog.+) COALESCE(b.n, 0) OPERATOR(pg_catalog.+) COALESCE(r.n, 0)) OPERATOR(pg_catalog.*) 8388608::bigint
           OPERATOR(pg_catalog.|) ((a.nonce OPERATOR(pg_catalog.#) COALESCE(b.nonce, 0) OPERATOR(pg_catalog.#) COALESCE(r.nonce, 0))
                                   OPERATOR(pg_catalog.&) 8388607::bigint) AS version,
       c.registered_at
FROM bustard.cache AS c
    LEFT JOIN folded AS b ON b.cache_id OPERATOR(pg_catalog.=) c.id
    LEFT JOIN recent AS r ON r.cache_id OPERATOR(pg_catalog.=) c.id
    CROSS JOIN everything AS a
WHERE c.active;

SELECT bustard.share('caches', 'SELECT', 'bustard.caches');
