-- Shows the events that no fold has counted yet, in the snapshot of the reading statement.
-- (R__caches.postgres.sql explains the upper bound on xid.)
CREATE OR REPLACE VIEW bustard.unfolded (cell, xid, nonce) AS
WITH mark AS MATERIALIZED (
    SELECT b.horizon, b.unfinished FROM bustard.base AS b
    WHERE b.cell OPERATOR(pg_catalog.=) 0 AND b.xmin OPERATOR(pg_catalog.=) b.folder
      AND b.horizon OPERATOR(pg_catalog.<=) pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())
    ORDER BY b.horizon DESC LIMIT 1
)
    SELECT e.cell, e.xid, e.nonce FROM bustard.event AS e
    WHERE e.xid OPERATOR(pg_catalog.>=) COALESCE((SELECT m.horizon FROM mark AS m), '0'::pg_catalog.xid8)
      AND e.xid OPERATOR(pg_catalog.<=) '18446744073709551615'::pg_catalog.xid8
  UNION ALL
    SELECT e.cell, e.xid, e.nonce FROM bustard.event AS e
    WHERE e.xid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT pg_catalog.unnest(m.unfinished) FROM mark AS m));
