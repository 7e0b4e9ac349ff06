-- Shows the events that no fold has counted yet, in the snapshot of the reading statement.
-- (R__caches.postgres.sql explains the upper bound on xid, and V1__registry.postgres.sql
-- explains row 0 of bustard.base.)
CREATE OR REPLACE VIEW bustard.unfolded (cache_id, xid, nonce) AS
    SELECT e.cache_id, e.xid, e.nonce FROM bustard.event AS e
    WHERE e.xid OPERATOR(pg_catalog.>=) (
              SELECT CASE WHEN b.xmin OPERATOR(pg_catalog.=) b.folder THEN b.horizon ELSE '0'::pg_catalog.xid8 END
              FROM bustard.base AS b WHERE b.cache_id OPERATOR(pg_catalog.=) 0)
      AND e.xid OPERATOR(pg_catalog.<=) '18446744073709551615'::pg_catalog.xid8
  UNION ALL
    SELECT e.cache_id, e.xid, e.nonce FROM bustard.event AS e
    WHERE e.xid OPERATOR(pg_catalog.=) ANY (ARRAY(
              SELECT pg_catalog.unnest(b.unfinished)
              FROM bustard.base AS b WHERE b.cache_id OPERATOR(pg_catalog.=) 0 AND b.xmin OPERATOR(pg_catalog.=) b.folder));
