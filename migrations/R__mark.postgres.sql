-- Shows which events the last fold covered: every event below `horizon` except the events
-- of the transactions in `unfinished`. Readers use a row of bustard.base for that only if it
-- was written by the transaction `folder`. After a restore into another cluster it was not,
-- and there the numbers would mean other transactions. They do not use a horizon above the
-- snapshot's xmax either, because then the numbers of this cluster have gone back.
CREATE OR REPLACE VIEW bustard.mark AS
SELECT b.horizon, b.unfinished FROM bustard.base AS b
WHERE b.cache_id OPERATOR(pg_catalog.=) 0 AND b.xmin OPERATOR(pg_catalog.=) b.folder
  AND b.horizon OPERATOR(pg_catalog.<=) pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())
ORDER BY b.horizon DESC LIMIT 1;
