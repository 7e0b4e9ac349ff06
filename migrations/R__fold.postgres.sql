-- Moves events into bustard.base and returns their number, or 0 while another session
-- folds. Count and XOR stay the same, so readers see no difference. A call moves about
-- 100000 events, and never a part of a transaction's events. Call it again for the rest.
--
-- The call must be in a READ COMMITTED transaction that has not written. In another
-- transaction it could fail because of an earlier fold, and would delay later folds.
CREATE OR REPLACE FUNCTION bustard.fold() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    since  pg_catalog.xid8;
    late   pg_catalog.xid8[];
    last   pg_catalog.xid8;
    below  pg_catalog.xid8;
    folded bigint;
BEGIN
    IF pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.<>) 'read committed'
       OR pg_catalog.pg_current_xact_id_if_assigned() IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = '25001',
            MESSAGE = 'bustard.fold() needs a READ COMMITTED transaction of its own',
            HINT = 'BEGIN ISOLATION LEVEL READ COMMITTED; SELECT bustard.fold(); COMMIT;';
    END IF;
    IF NOT pg_catalog.pg_try_advisory_xact_lock(7094991215127488836) THEN
        RETURN 0;
    END IF;

    -- This session has the lock, so each statement below sees all earlier folds.
    SELECT b.horizon, b.unfinished INTO since, late
    FROM bustard.base AS b
    WHERE b.cache_id OPERATOR(pg_catalog.=) 0 AND b.xmin OPERATOR(pg_catalog.=) b.folder;
    since := COALESCE(since, '0'::pg_catalog.xid8);

    SELECT e.xid INTO last FROM bustard.event AS e
    WHERE e.xid OPERATOR(pg_catalog.>=) since
    ORDER BY e.xid OFFSET 99999 LIMIT 1;
    IF FOUND THEN
        SELECT e.xid INTO below FROM bustard.event AS e
        WHERE e.xid OPERATOR(pg_catalog.>) last
        ORDER BY e.xid LIMIT 1;
    END IF;

    -- This is one statement with one snapshot. The snapshot decides which events are
    -- deleted, which are counted, and which the next reader may skip. The statement
    -- deletes every event below `horizon` that it sees. An event that it does not see
    -- yet belongs to a transaction that is running, which is listed in `unfinished`, or
    -- to a later transaction, whose number is at least the snapshot's xmax. That holds
    -- for the number of this transaction too, because this statement assigns it.
    -- (Restored events may have any number. They are folded like the others and never
    -- raise the horizon.)
    WITH seen AS MATERIALIZED (
        SELECT pg_catalog.pg_current_snapshot() AS snapshot
    ), mark AS MATERIALIZED (
        SELECT LEAST(below, pg_catalog.pg_snapshot_xmax(s.snapshot)) AS horizon, s.snapshot FROM seen AS s
    ), gone AS (
        DELETE FROM bustard.event AS e
        WHERE e.xid OPERATOR(pg_catalog.>=) since
          AND (below IS NULL OR e.xid OPERATOR(pg_catalog.<) below)
           OR e.xid OPERATOR(pg_catalog.=) ANY (late)
        RETURNING e.cache_id, e.nonce
    ), added AS (
        INSERT INTO bustard.base AS b (cache_id, n, nonce)
        SELECT g.cache_id, pg_catalog.count(*), pg_catalog.bit_xor(g.nonce)
        FROM gone AS g GROUP BY g.cache_id
        ON CONFLICT (cache_id) DO UPDATE
        SET n = b.n OPERATOR(pg_catalog.+) excluded.n,
            nonce = b.nonce OPERATOR(pg_catalog.#) excluded.nonce
    ), total AS (
        SELECT pg_catalog.count(*) AS n, pg_catalog.bit_xor(g.nonce) AS nonce FROM gone AS g
    ), marked AS (
        UPDATE bustard.base AS b
        SET n = b.n OPERATOR(pg_catalog.+) t.n,
            nonce = b.nonce OPERATOR(pg_catalog.#) t.nonce,
            horizon = m.horizon,
            unfinished = ARRAY(
                SELECT x.xid FROM pg_catalog.pg_snapshot_xip(m.snapshot) AS x (xid)
                WHERE x.xid OPERATOR(pg_catalog.<) m.horizon),
            folder = pg_catalog.pg_current_xact_id()::pg_catalog.xid
        FROM total AS t, mark AS m
        WHERE b.cache_id OPERATOR(pg_catalog.=) 0 AND t.n OPERATOR(pg_catalog.>) 0
    )
    SELECT t.n INTO folded FROM total AS t;
    RETURN folded;
END
$$;

REVOKE EXECUTE ON FUNCTION bustard.fold() FROM PUBLIC;
