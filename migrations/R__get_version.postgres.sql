-- bustard: depends on bustard R__share

-- Returns the version of a cache: count << 23 | 23 bits of the nonce. The shift is a
-- product, because a product raises 22003 on overflow. The function is STABLE, so it uses
-- the snapshot of the calling statement, and data and version always belong together. A
-- plan that was made while the tables were small must still be good when they have grown.
-- So sequential scans are off, and the plan uses the indexes. (Setting enable_seqscan is
-- cheap; setting search_path would not be.) It reads no view, because a run that replaces a
-- view waits for the transactions that have read it.
CREATE OR REPLACE FUNCTION bustard.get_version(name pg_catalog.text) RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET enable_seqscan = off AS $$
DECLARE
    ids     bigint[];
    cells   bigint[];
    carry   bigint[];
    since   pg_catalog.xid8;
    late    pg_catalog.xid8[];
    version bigint;
BEGIN
    SELECT ARRAY[1, c.id] OPERATOR(pg_catalog.||) c.wide OPERATOR(pg_catalog.||) c.keyed,
           ARRAY(
               SELECT (i.id::bigint OPERATOR(pg_catalog.<<) 12) OPERATOR(pg_catalog.|) s.slot
               FROM pg_catalog.unnest(ARRAY[1, c.id] OPERATOR(pg_catalog.||) c.wide OPERATOR(pg_catalog.||) c.keyed) AS i (id),
                   pg_catalog.unnest('{0,1}'::bigint[]) AS s (slot)),
           ARRAY[c.carry_n, c.carry_nonce]
    INTO ids, cells, carry
    FROM bustard.cache AS c
    WHERE c.name OPERATOR(pg_catalog.=) $1 AND c.active;
    IF NOT FOUND THEN
        PERFORM bustard.unknown_cache($1);
    END IF;

    SELECT b.horizon, b.unfinished INTO since, late FROM bustard.base AS b
    WHERE b.cell OPERATOR(pg_catalog.=) 0 AND b.xmin OPERATOR(pg_catalog.=) b.folder
      AND b.horizon OPERATOR(pg_catalog.<=) pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())
    ORDER BY b.horizon DESC LIMIT 1;

    SELECT (pg_catalog.sum(s.n)::bigint OPERATOR(pg_catalog.+) carry[1]) OPERATOR(pg_catalog.*) 8388608::bigint
           OPERATOR(pg_catalog.|) ((pg_catalog.bit_xor(s.nonce) OPERATOR(pg_catalog.#) carry[2]) OPERATOR(pg_catalog.&) 8388607::bigint)
    INTO version
    FROM (
        SELECT b.n, b.nonce
        FROM bustard.base AS b
        WHERE b.cell OPERATOR(pg_catalog.=) ANY (cells)
      UNION ALL
        SELECT 1::bigint, e.nonce
        FROM bustard.event AS e
        WHERE e.xid OPERATOR(pg_catalog.>=) COALESCE(since, '0'::pg_catalog.xid8)
          AND (e.cell OPERATOR(pg_catalog.>>) 12) OPERATOR(pg_catalog.=) ANY (ids)
      UNION ALL
        SELECT 1::bigint, e.nonce
        FROM bustard.event AS e
        WHERE e.xid OPERATOR(pg_catalog.=) ANY (late)
          AND (e.cell OPERATOR(pg_catalog.>>) 12) OPERATOR(pg_catalog.=) ANY (ids)
    ) AS s;
    RETURN version;
END
$$;

SELECT bustard.share('get_version', 'EXECUTE', 'FUNCTION bustard.get_version(pg_catalog.text)');

-- Returns the version of a key of a cache. A key of several columns is an array with a value
-- for each. Of the buckets of the cache and of its keyed sources, this counts that of the
-- key. It counts the other sources and all events of whole sources as get_version(name) does.
CREATE OR REPLACE FUNCTION bustard.get_version(name pg_catalog.text, key pg_catalog.text[]) RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET enable_seqscan = off AS $$
DECLARE
    cells   bigint[];
    carry   bigint[];
    since   pg_catalog.xid8;
    late    pg_catalog.xid8[];
    version bigint;
BEGIN
    SELECT ARRAY(
               SELECT i.id::bigint OPERATOR(pg_catalog.<<) 12
               FROM pg_catalog.unnest(ARRAY[1, c.id] OPERATOR(pg_catalog.||) c.wide OPERATOR(pg_catalog.||) c.keyed) AS i (id)
             UNION ALL
               SELECT (i.id::bigint OPERATOR(pg_catalog.<<) 12) OPERATOR(pg_catalog.+) (2 OPERATOR(pg_catalog.+) b.bucket)
               FROM pg_catalog.unnest(c.id OPERATOR(pg_catalog.||) c.keyed) AS i (id)
               WHERE b.bucket IS NOT NULL),
           ARRAY[c.carry_n, c.carry_nonce]
    INTO cells, carry
    FROM bustard.cache AS c
        CROSS JOIN LATERAL (
            SELECT bustard.key_bucket($1, CASE WHEN c.keyed OPERATOR(pg_catalog.<>) '{}' THEN c.rule END, $2) AS bucket OFFSET 0
        ) AS b
    WHERE c.name OPERATOR(pg_catalog.=) $1 AND c.active;
    IF NOT FOUND THEN
        PERFORM bustard.unknown_cache($1);
    END IF;

    SELECT b.horizon, b.unfinished INTO since, late FROM bustard.base AS b
    WHERE b.cell OPERATOR(pg_catalog.=) 0 AND b.xmin OPERATOR(pg_catalog.=) b.folder
      AND b.horizon OPERATOR(pg_catalog.<=) pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())
    ORDER BY b.horizon DESC LIMIT 1;

    SELECT (pg_catalog.sum(s.n)::bigint OPERATOR(pg_catalog.+) carry[1]) OPERATOR(pg_catalog.*) 8388608::bigint
           OPERATOR(pg_catalog.|) ((pg_catalog.bit_xor(s.nonce) OPERATOR(pg_catalog.#) carry[2]) OPERATOR(pg_catalog.&) 8388607::bigint)
    INTO version
    FROM (
        SELECT b.n, b.nonce
        FROM bustard.base AS b
        WHERE b.cell OPERATOR(pg_catalog.=) ANY (cells)
      UNION ALL
        SELECT 1::bigint, e.nonce
        FROM bustard.event AS e
        WHERE e.xid OPERATOR(pg_catalog.>=) COALESCE(since, '0'::pg_catalog.xid8)
          AND e.cell OPERATOR(pg_catalog.=) ANY (cells)
      UNION ALL
        SELECT 1::bigint, e.nonce
        FROM bustard.event AS e
        WHERE e.xid OPERATOR(pg_catalog.=) ANY (late)
          AND e.cell OPERATOR(pg_catalog.=) ANY (cells)
    ) AS s;
    RETURN version;
END
$$;

SELECT bustard.share('get_version', 'EXECUTE', 'FUNCTION bustard.get_version(pg_catalog.text, pg_catalog.text[])');

CREATE OR REPLACE FUNCTION bustard.get_version(name pg_catalog.text, key pg_catalog.text) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT bustard.get_version($1, ARRAY[$2])
$$;

SELECT bustard.share('get_version', 'EXECUTE', 'FUNCTION bustard.get_version(pg_catalog.text, pg_catalog.text)');

CREATE OR REPLACE FUNCTION bustard.get_version(name pg_catalog.text, key bigint) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT bustard.get_version($1, ARRAY[$2::pg_catalog.text])
$$;

SELECT bustard.share('get_version', 'EXECUTE', 'FUNCTION bustard.get_version(pg_catalog.text, bigint)');

CREATE OR REPLACE FUNCTION bustard.get_version(name pg_catalog.text, key pg_catalog.uuid) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT bustard.get_version($1, ARRAY[$2::pg_catalog.text])
$$;

SELECT bustard.share('get_version', 'EXECUTE', 'FUNCTION bustard.get_version(pg_catalog.text, pg_catalog.uuid)');
