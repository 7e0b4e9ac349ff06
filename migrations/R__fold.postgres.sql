-- bustard: depends on bustard R__share

-- Moves events into bustard.base and returns their number. Count and XOR stay the same, so
-- readers see no difference. A call moves at most 25000 events. Call it again for the rest.
--
-- Every role that may invalidate may call it. It waits for no other transaction, and no
-- transaction waits for it, because it skips the rows that another fold has locked. A
-- session that idles after a fold keeps the events of that fold in their place, and no
-- others. If the row of a cell in bustard.base is locked, a fold adds a row, and a later
-- fold joins the rows.
--
-- The call must be in a READ COMMITTED transaction that has not written. In another
-- transaction it could fail because of an earlier fold, and would delay later folds.
CREATE OR REPLACE FUNCTION bustard.fold() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    most   bigint := 25000;
    since  pg_catalog.xid8;
    late   pg_catalog.xid8[];
    last   pg_catalog.xid8;
    stale  boolean;
    folded bigint;
BEGIN
    IF pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.<>) 'read committed'
       OR pg_catalog.pg_current_xact_id_if_assigned() IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = '25001',
            MESSAGE = 'bustard.fold() needs a READ COMMITTED transaction of its own',
            HINT = 'BEGIN ISOLATION LEVEL READ COMMITTED; SELECT bustard.fold(); COMMIT;';
    END IF;

    SELECT b.horizon, b.unfinished INTO since, late FROM bustard.base AS b
    WHERE b.cell OPERATOR(pg_catalog.=) 0 AND b.xmin OPERATOR(pg_catalog.=) b.folder
      AND b.horizon OPERATOR(pg_catalog.<=) pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())
    ORDER BY b.horizon DESC LIMIT 1;
    since := COALESCE(since, '0'::pg_catalog.xid8);
    SELECT EXISTS (
        SELECT FROM bustard.base AS b
        WHERE b.cell OPERATOR(pg_catalog.=) 0
          AND b.horizon OPERATOR(pg_catalog.>) pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())
    ) INTO stale;
    SELECT e.xid INTO last FROM bustard.event AS e
    WHERE e.xid OPERATOR(pg_catalog.>=) since
    ORDER BY e.xid OFFSET most OPERATOR(pg_catalog.-) 1 LIMIT 1;

    -- This is one statement with one snapshot. The snapshot decides which events are
    -- deleted, which are counted, and which the next reader may skip. The reader skips the
    -- events below `horizon`, except the events of the transactions in `unfinished`. An
    -- event below `horizon` is in one of these cases:
    --
    -- - The statement sees it and deletes it.
    -- - The statement sees it, and another fold has locked it. `unfinished` lists its
    --   transaction. If there are very many of these transactions, `horizon` is the lowest
    --   of them instead.
    -- - The statement does not see it, because its transaction is running. `unfinished`
    --   lists the transaction.
    --
    -- The events of later transactions are not below `horizon`, because their numbers are
    -- at least the snapshot's xmax. That holds for the number of this transaction too,
    -- because this statement assigns it. (Restored events may have any number. They are
    -- folded like the others and never raise the horizon.)
    --
    -- If another fold has changed a row of bustard.base since the snapshot, the row is
    -- locked in its new version. The snapshot does not show this version, so the statement
    -- neither changes nor deletes it, and adds a row.
    WITH seen AS MATERIALIZED (
        SELECT e.ctid AS at, e.xid FROM bustard.event AS e
        WHERE e.xid OPERATOR(pg_catalog.>=) since AND (last IS NULL OR e.xid OPERATOR(pg_catalog.<) last)
           OR e.xid OPERATOR(pg_catalog.=) ANY (late)
    ), taken AS MATERIALIZED (
        SELECT e.ctid AS at FROM bustard.event AS e
        WHERE e.xid OPERATOR(pg_catalog.>=) since AND (last IS NULL OR e.xid OPERATOR(pg_catalog.<=) last)
           OR e.xid OPERATOR(pg_catalog.=) ANY (late)
        LIMIT most FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM bustard.event AS e
        WHERE e.ctid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT t.at FROM taken AS t))
        RETURNING e.ctid AS at, e.cell, e.nonce
    ), left_over AS MATERIALIZED (
        SELECT DISTINCT s.xid FROM seen AS s LEFT JOIN gone AS g ON g.at OPERATOR(pg_catalog.=) s.at
        WHERE g.at IS NULL
    ), edge AS MATERIALIZED (
        SELECT LEAST(last, pg_catalog.pg_snapshot_xmax(p.snapshot), CASE WHEN l.many THEN l.lowest END) AS horizon,
               CASE WHEN l.many THEN '{}'::pg_catalog.xid8[] ELSE l.xids END AS xids, p.snapshot
        FROM (SELECT pg_catalog.pg_current_snapshot() AS snapshot) AS p,
             (SELECT pg_catalog.count(*) OPERATOR(pg_catalog.>) 5000 AS many,
                     (SELECT o.xid FROM left_over AS o ORDER BY o.xid LIMIT 1) AS lowest,
                     ARRAY(SELECT o.xid FROM left_over AS o) AS xids
              FROM left_over AS o) AS l
    ), mark AS MATERIALIZED (
        SELECT d.horizon, ARRAY(
            SELECT x.xid FROM pg_catalog.pg_snapshot_xip(d.snapshot) AS x (xid)
            WHERE x.xid OPERATOR(pg_catalog.<) d.horizon
          UNION SELECT x.xid FROM pg_catalog.unnest(d.xids) AS x (xid)
            WHERE x.xid OPERATOR(pg_catalog.<) d.horizon) AS unfinished
        FROM edge AS d
    ), counted AS MATERIALIZED (
        SELECT g.cell, pg_catalog.count(*) AS n, pg_catalog.bit_xor(g.nonce) AS nonce FROM gone AS g GROUP BY g.cell
      UNION ALL
        -- Slot 1 of a source is the sum of its buckets.
        SELECT (g.cell OPERATOR(pg_catalog.&) (-4096)::bigint) OPERATOR(pg_catalog.|) 1::bigint, pg_catalog.count(*), pg_catalog.bit_xor(g.nonce)
        FROM gone AS g WHERE (g.cell OPERATOR(pg_catalog.&) 4095::bigint) OPERATOR(pg_catalog.>=) 2::bigint GROUP BY 1
      UNION ALL
        SELECT 0, pg_catalog.count(*), COALESCE(pg_catalog.bit_xor(g.nonce), 0) FROM gone AS g
        HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 0 OR stale
    ), locked AS MATERIALIZED (
        SELECT b.ctid AS at, b.cell FROM bustard.base AS b
        WHERE b.cell OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT c.cell FROM counted AS c))
        FOR UPDATE SKIP LOCKED
    ), kept AS MATERIALIZED (
        SELECT pg_catalog.min(l.at) AS at, l.cell FROM locked AS l GROUP BY l.cell
    ), surplus AS (
        DELETE FROM bustard.base AS b
        WHERE b.ctid OPERATOR(pg_catalog.=) ANY (ARRAY(
                  SELECT l.at FROM locked AS l LEFT JOIN kept AS k ON k.at OPERATOR(pg_catalog.=) l.at WHERE k.at IS NULL))
        RETURNING b.cell, b.n, b.nonce
    ), added AS MATERIALIZED (
        SELECT s.cell, pg_catalog.sum(s.n)::bigint AS n, pg_catalog.bit_xor(s.nonce) AS nonce, k.at,
               CASE WHEN s.cell OPERATOR(pg_catalog.=) 0 THEN m.horizon END AS horizon,
               CASE WHEN s.cell OPERATOR(pg_catalog.=) 0 THEN m.unfinished END AS unfinished,
               CASE WHEN s.cell OPERATOR(pg_catalog.=) 0 THEN pg_catalog.pg_current_xact_id()::pg_catalog.xid END AS folder
        FROM (SELECT c.cell, c.n, c.nonce FROM counted AS c UNION ALL SELECT u.cell, u.n, u.nonce FROM surplus AS u) AS s
            LEFT JOIN kept AS k ON k.cell OPERATOR(pg_catalog.=) s.cell
            CROSS JOIN mark AS m
        GROUP BY s.cell, k.at, m.horizon, m.unfinished
    ), changed AS (
        UPDATE bustard.base AS b
        SET n = b.n OPERATOR(pg_catalog.+) a.n, nonce = b.nonce OPERATOR(pg_catalog.#) a.nonce,
            horizon = a.horizon, unfinished = a.unfinished, folder = a.folder
        FROM added AS a WHERE b.ctid OPERATOR(pg_catalog.=) a.at
        RETURNING b.cell
    ), new AS (
        INSERT INTO bustard.base (cell, n, nonce, horizon, unfinished, folder)
        SELECT a.cell, a.n, a.nonce, a.horizon, a.unfinished, a.folder
        FROM added AS a LEFT JOIN changed AS c ON c.cell OPERATOR(pg_catalog.=) a.cell
        WHERE c.cell IS NULL
    ), noted AS (
        -- A reader that knows the buckets of an earlier fold reads only those that changed.
        INSERT INTO bustard.fold (xid, cells)
        SELECT pg_catalog.pg_current_xact_id(), pg_catalog.array_agg(c.cell)
        FROM counted AS c WHERE (c.cell OPERATOR(pg_catalog.&) 4095::bigint) OPERATOR(pg_catalog.>=) 2::bigint
        HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 0
    ), old AS (
        DELETE FROM bustard.fold AS f WHERE f.ctid OPERATOR(pg_catalog.=) ANY (ARRAY(
            SELECT o.ctid FROM bustard.fold AS o
            ORDER BY o.xid OPERATOR(pg_catalog.>) pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot()), o.xid DESC
            OFFSET 99 FOR UPDATE SKIP LOCKED))
    )
    SELECT pg_catalog.count(*) INTO folded FROM gone AS g;
    RETURN folded;
END
$$;

SELECT bustard.share('fold', 'EXECUTE', 'FUNCTION bustard.fold()');
