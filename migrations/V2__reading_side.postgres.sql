-- The reading side on PostgreSQL: what processes that keep a snapshot of all cache
-- versions ask for. The habits of V1 hold here as well.


-- Events that no fold has counted yet, as the reading statement sees them. (See
-- bustard.caches on the upper bound, and bustard.base on what row 0 says.)
CREATE VIEW bustard.unfolded (cache_id, xid, nonce) AS
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


-- What a process looks at to keep its snapshot current. The first row, without a
-- name, is the sum of everything: it is equal only if nothing has been invalidated,
-- registered or unregistered. Where it is the one that is known already, it comes
-- alone; otherwise the wanted caches follow, or all of them if none are named.
-- `unfolded` says whether somebody should call bustard.fold().
CREATE FUNCTION bustard.snapshot(
    known_n bigint, known_nonce bigint, wanted pg_catalog.text[],
    OUT name pg_catalog.text, OUT app pg_catalog.text, OUT n bigint, OUT nonce bigint, OUT unfolded bigint
) RETURNS SETOF record
LANGUAGE plpgsql STABLE SECURITY DEFINER SET enable_seqscan = off AS $$
DECLARE
    all_n     bigint;
    all_nonce bigint;
    ids       integer[];
    ns        bigint[];
    nonces    bigint[];
BEGIN
    -- Events are read once: what they add up to for each cache is kept for below.
    SELECT b.n OPERATOR(pg_catalog.+) u.n, b.nonce OPERATOR(pg_catalog.#) u.nonce, u.n,
           a.n OPERATOR(pg_catalog.+) u.all_n, a.nonce OPERATOR(pg_catalog.#) u.all_nonce, u.ids, u.ns, u.nonces
    INTO n, nonce, unfolded, all_n, all_nonce, ids, ns, nonces
    FROM bustard.base AS b, bustard.base AS a,
         (SELECT COALESCE(pg_catalog.sum(r.n), 0)::bigint AS n, COALESCE(pg_catalog.bit_xor(r.nonce), 0) AS nonce,
                 COALESCE(pg_catalog.sum(r.n) FILTER (WHERE r.cache_id OPERATOR(pg_catalog.=) 1), 0)::bigint AS all_n,
                 COALESCE(pg_catalog.bit_xor(r.nonce) FILTER (WHERE r.cache_id OPERATOR(pg_catalog.=) 1), 0) AS all_nonce,
                 pg_catalog.array_agg(r.cache_id) AS ids, pg_catalog.array_agg(r.n) AS ns,
                 pg_catalog.array_agg(r.nonce) AS nonces
          FROM (SELECT e.cache_id, pg_catalog.count(*) AS n, pg_catalog.bit_xor(e.nonce) AS nonce
                FROM bustard.unfolded AS e GROUP BY e.cache_id) AS r) AS u
    WHERE b.cache_id OPERATOR(pg_catalog.=) 0 AND a.cache_id OPERATOR(pg_catalog.=) 1;
    RETURN NEXT;
    IF n OPERATOR(pg_catalog.=) known_n AND nonce OPERATOR(pg_catalog.=) known_nonce THEN
        RETURN;
    END IF;

    RETURN QUERY
        SELECT c.name::pg_catalog.text, c.app,
               all_n OPERATOR(pg_catalog.+) COALESCE(b.n, 0) OPERATOR(pg_catalog.+) COALESCE(r.n, 0),
               all_nonce OPERATOR(pg_catalog.#) COALESCE(b.nonce, 0) OPERATOR(pg_catalog.#) COALESCE(r.nonce, 0),
               NULL::bigint
        FROM bustard.cache AS c
            LEFT JOIN bustard.base AS b ON b.cache_id OPERATOR(pg_catalog.=) c.id
            LEFT JOIN ROWS FROM (pg_catalog.unnest(ids), pg_catalog.unnest(ns), pg_catalog.unnest(nonces))
                AS r (cache_id, n, nonce) ON r.cache_id OPERATOR(pg_catalog.=) c.id
        WHERE c.active AND (wanted IS NULL OR c.name OPERATOR(pg_catalog.=) ANY (wanted));
END
$$;

-- What a cache's version stands for, whole, and whether the open transaction has
-- itself invalidated the cache: then nothing that it reads may be cached.
CREATE FUNCTION bustard.identity(
    name pg_catalog.text, OUT app pg_catalog.text, OUT n bigint, OUT nonce bigint, OUT own boolean
) RETURNS record
LANGUAGE plpgsql STABLE SECURITY DEFINER SET enable_seqscan = off AS $$
DECLARE
    wanted integer;
BEGIN
    SELECT c.id, c.app INTO wanted, app
    FROM bustard.cache AS c
    WHERE c.name OPERATOR(pg_catalog.=) $1 AND c.active;
    IF NOT FOUND THEN
        PERFORM bustard.unknown_cache($1);
    END IF;
    SELECT pg_catalog.sum(s.n)::bigint, pg_catalog.bit_xor(s.nonce), pg_catalog.bool_or(s.own) INTO n, nonce, own
    FROM (
        SELECT b.n, b.nonce, false AS own FROM bustard.base AS b
        WHERE b.cache_id OPERATOR(pg_catalog.=) ANY (ARRAY[1, wanted])
      UNION ALL
        SELECT 1::bigint, e.nonce, e.xid OPERATOR(pg_catalog.=) COALESCE(pg_catalog.pg_current_xact_id_if_assigned(), '0'::pg_catalog.xid8)
        FROM bustard.unfolded AS e
        WHERE e.cache_id OPERATOR(pg_catalog.=) ANY (ARRAY[1, wanted])
    ) AS s;
END
$$;

-- As before, with an event, so that whoever looks at the sum of everything notices.
CREATE OR REPLACE FUNCTION bustard.unregister_cache(name pg_catalog.text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    found_id integer;
BEGIN
    LOCK TABLE bustard.cache IN SHARE ROW EXCLUSIVE MODE;
    UPDATE bustard.cache AS c SET active = false
    WHERE c.name OPERATOR(pg_catalog.=) $1 AND c.active
    RETURNING c.id INTO found_id;
    IF NOT FOUND THEN
        PERFORM bustard.unknown_cache($1);
    END IF;
    INSERT INTO bustard.event (cache_id) VALUES (found_id);
END
$$;


GRANT EXECUTE ON FUNCTION
    bustard.snapshot(bigint, bigint, pg_catalog.text[]),
    bustard.identity(pg_catalog.text)
TO PUBLIC;
