-- Makes a registered cache count these sources instead of those in its row.
--
-- A source that is removed goes on counting as what it has come to, in the cache's carry, so
-- that versions never go back. No transaction that has written to its table may be open: its
-- event would be counted by readers of the old sources, and not by the carry. So the table
-- is locked in SHARE mode, and the carry is read in a later statement. A table without
-- triggers is not locked, because no open transaction can have written an event there.
CREATE OR REPLACE FUNCTION bustard.set_sources(cache integer, sources integer[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    before  integer[];
    removed integer[];
    emptied boolean := false;
BEGIN
    SELECT c.wide INTO before FROM bustard.cache AS c WHERE c.id OPERATOR(pg_catalog.=) $1;
    removed := ARRAY(SELECT pg_catalog.unnest(before) EXCEPT SELECT pg_catalog.unnest($2));
    IF pg_catalog.cardinality(removed) OPERATOR(pg_catalog.>) 0 THEN
        PERFORM bustard.lock_writers(removed);
        UPDATE bustard.cache AS c
        SET carry_n = c.carry_n OPERATOR(pg_catalog.+) r.n, carry_nonce = c.carry_nonce OPERATOR(pg_catalog.#) r.nonce
        FROM (
            SELECT COALESCE(pg_catalog.sum(s.n), 0)::bigint AS n, COALESCE(pg_catalog.bit_xor(s.nonce), 0) AS nonce
            FROM (
                SELECT b.cell, b.n, b.nonce FROM bustard.base AS b
              UNION ALL
                SELECT u.cell, 1::bigint, u.nonce FROM bustard.unfolded AS u
            ) AS s
            WHERE s.cell OPERATOR(pg_catalog.=) ANY (ARRAY(
                SELECT i.id::bigint OPERATOR(pg_catalog.<<) 12 FROM pg_catalog.unnest(removed) AS i (id)))
        ) AS r
        WHERE c.id OPERATOR(pg_catalog.=) $1;
    END IF;
    UPDATE bustard.cache AS c SET wide = $2
    WHERE c.id OPERATOR(pg_catalog.=) $1 AND c.wide OPERATOR(pg_catalog.<>) $2;
    UPDATE bustard.source AS s SET active = true
    WHERE s.id OPERATOR(pg_catalog.=) ANY ($2) AND NOT s.active;
    IF pg_catalog.cardinality(removed) OPERATOR(pg_catalog.>) 0 THEN
        emptied := bustard.release_sources(removed);
    END IF;
    IF pg_catalog.cardinality($2) OPERATOR(pg_catalog.>) 0 THEN
        PERFORM bustard.install_sources($2);
    END IF;
    IF emptied THEN
        PERFORM bustard.drop_triggers();
    END IF;
END
$$;

REVOKE EXECUTE ON FUNCTION bustard.set_sources(integer, integer[]) FROM PUBLIC;
