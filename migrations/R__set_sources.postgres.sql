-- bustard: depends on bustard R__shown_source

-- Makes a registered cache count these sources instead of those in its row.
--
-- All keys of a cache have one rule. A rule that replaces another one gives each key another
-- bucket, which may have counted less. So the carry then grows by what the cache's own
-- buckets have come to, and by more than open transactions can add to that.
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
    rules   pg_catalog.text[];
    two     pg_catalog.text;
BEGIN
    rules := ARRAY(SELECT DISTINCT s.rule FROM bustard.source AS s
        WHERE s.id OPERATOR(pg_catalog.=) ANY ($2) AND s.rule OPERATOR(pg_catalog.<>) '' ORDER BY 1);
    IF pg_catalog.cardinality(rules) OPERATOR(pg_catalog.>) 1 THEN
        SELECT pg_catalog.string_agg(pg_catalog.format('%s (%s)', f.text, f.rule), ' and ' ORDER BY f.rule) INTO two
        FROM (SELECT DISTINCT ON (s.rule) s.rule, bustard.shown_source(s.schema_name, s.table_name, s.columns) AS text
              FROM bustard.source AS s WHERE s.id OPERATOR(pg_catalog.=) ANY ($2) AND s.rule OPERATOR(pg_catalog.<>) ''
              ORDER BY s.rule, s.id LIMIT 2) AS f;
        RAISE EXCEPTION USING
            ERRCODE = '42804',
            MESSAGE = pg_catalog.format('the keys of the cache "%s" have two types: %s',
                (SELECT c.name FROM bustard.cache AS c WHERE c.id OPERATOR(pg_catalog.=) $1), two),
            HINT = 'A key is the same value in all tables: an integer, a uuid or a text. Use columns of one type, name one of the tables without BY, or register two caches.';
    END IF;
    SELECT c.wide OPERATOR(pg_catalog.||) c.keyed INTO before FROM bustard.cache AS c WHERE c.id OPERATOR(pg_catalog.=) $1;
    removed := ARRAY(SELECT pg_catalog.unnest(before) EXCEPT SELECT pg_catalog.unnest($2));
    IF pg_catalog.cardinality(removed) OPERATOR(pg_catalog.>) 0 THEN
        PERFORM bustard.lock_writers(removed);
        UPDATE bustard.cache AS c
        SET carry_n = c.carry_n OPERATOR(pg_catalog.+) r.n, carry_nonce = c.carry_nonce OPERATOR(pg_catalog.#) r.nonce
        FROM (
            SELECT COALESCE(pg_catalog.sum(s.n), 0)::bigint AS n, COALESCE(pg_catalog.bit_xor(s.nonce), 0) AS nonce
            FROM (
                SELECT b.cell, b.n, b.nonce FROM bustard.base AS b WHERE (b.cell OPERATOR(pg_catalog.&) 4095) OPERATOR(pg_catalog.<) 2
              UNION ALL
                SELECT u.cell, 1::bigint, u.nonce FROM bustard.unfolded AS u
            ) AS s
            WHERE (s.cell OPERATOR(pg_catalog.>>) 12)::integer OPERATOR(pg_catalog.=) ANY (removed)
        ) AS r
        WHERE c.id OPERATOR(pg_catalog.=) $1;
    END IF;
    UPDATE bustard.cache AS c
    SET wide = w.wide, keyed = w.keyed, rule = COALESCE(rules[1], c.rule), carry_n = c.carry_n OPERATOR(pg_catalog.+) CASE
        WHEN c.rule OPERATOR(pg_catalog.<>) rules[1] THEN (
            SELECT COALESCE(pg_catalog.sum(s.n), 0)::bigint OPERATOR(pg_catalog.+) 1048576 FROM (
                SELECT b.n FROM bustard.base AS b WHERE b.cell OPERATOR(pg_catalog.=) ((c.id::bigint OPERATOR(pg_catalog.<<) 12) OPERATOR(pg_catalog.|) 1)
              UNION ALL
                SELECT 1::bigint FROM bustard.unfolded AS u WHERE (u.cell OPERATOR(pg_catalog.>>) 12) OPERATOR(pg_catalog.=) c.id
            ) AS s)
        ELSE 0 END
    FROM (
        SELECT COALESCE(pg_catalog.array_agg(i.id ORDER BY i.at) FILTER (WHERE s.rule OPERATOR(pg_catalog.=) ''), '{}') AS wide,
               COALESCE(pg_catalog.array_agg(i.id ORDER BY i.at) FILTER (WHERE s.rule OPERATOR(pg_catalog.<>) ''), '{}') AS keyed
        FROM pg_catalog.unnest($2) WITH ORDINALITY AS i (id, at)
            JOIN bustard.source AS s ON s.id OPERATOR(pg_catalog.=) i.id
    ) AS w
    WHERE c.id OPERATOR(pg_catalog.=) $1 AND (c.wide OPERATOR(pg_catalog.<>) w.wide OR c.keyed OPERATOR(pg_catalog.<>) w.keyed);
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
