-- The registry on PostgreSQL: tracked caches, their invalidations, and the SQL
-- API over them. The migrator creates the schema `bustard` and runs this file in
-- its transaction, which ends with `bustard.invalidate_all()`.
--
-- Two habits run through the file, because its functions run with their owner's
-- rights under a `search_path` that the caller chose. Every name is qualified,
-- operators and types too, and constructs that look up an operator by themselves
-- (IN, BETWEEN, NULLIF, IS DISTINCT FROM, LIKE) are not used. A SET clause would
-- do the same at a price on every call. (Operators written this way all bind alike,
-- from left to right: hence the parentheses.) And no literal contains a backslash
-- outside E'', since `standard_conforming_strings` is the caller's as well.


-- Registered names. Rows are never deleted, so an id never changes its meaning.
-- Row 1 stands for all caches; its name is one that nobody can register.
CREATE TABLE bustard.cache (
    id            integer NOT NULL PRIMARY KEY,
    name          pg_catalog.text COLLATE pg_catalog."C" NOT NULL UNIQUE,
    app           pg_catalog.text,
    active        boolean NOT NULL,
    registered_at timestamp with time zone NOT NULL DEFAULT pg_catalog.now()
);

-- One row per invalidation since the last fold. Append only, without a unique
-- index and without a foreign key: transactions that invalidate must never meet.
-- The nonce is 64 random bits. The transaction's number takes part so that nonces
-- differ even between sessions that call setseed() with the same value.
-- (gen_random_uuid() costs an invalidating transaction a twentieth of its time.)
CREATE TABLE bustard.event (
    xid      pg_catalog.xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),
    nonce    bigint NOT NULL DEFAULT pg_catalog.hashfloat8extended(
        pg_catalog.random(), pg_catalog.hashfloat8extended(pg_catalog.random(), pg_catalog.txid_current())),
    cache_id integer NOT NULL
) WITH (
    -- Folding leaves dead rows at a steady rate, whatever the table's size.
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_threshold = -1,
    -- Truncating takes a lock that readers and writers would wait for.
    vacuum_truncate = false
);

-- Lets readers pass over what is folded but not yet vacuumed.
CREATE INDEX event_xid ON bustard.event (xid);

-- What has been folded: per cache, and in row 0 the grand total. Row 0 also says
-- what the last fold covered: every event below `horizon` except those of the
-- transactions in `unfinished`. That is believed only while the row is the very
-- one that transaction `folder` wrote. After a restore into another cluster it is
-- not, and there the numbers would mean other transactions.
CREATE TABLE bustard.base (
    cache_id   integer NOT NULL PRIMARY KEY,
    n          bigint NOT NULL,
    nonce      bigint NOT NULL,
    horizon    pg_catalog.xid8,
    unfinished pg_catalog.xid8[],
    folder     pg_catalog.xid
) WITH (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0.1,
    autovacuum_vacuum_threshold = 500,
    vacuum_truncate = false
);

INSERT INTO bustard.cache (id, name, active) VALUES (1, '', false);

-- One invalidation of everything to begin with: no version is ever 0.
INSERT INTO bustard.base (cache_id, n, nonce)
SELECT i.id, 1, first.nonce
FROM (SELECT pg_catalog.uuid_hash_extended(pg_catalog.gen_random_uuid(), 0) AS nonce OFFSET 0) AS first,
     pg_catalog.generate_series(0, 1) AS i (id);


-- Raises 42704 for a name that is not registered, with the name that was probably
-- meant: the one that shares most pairs of letters. It looks at no more than 1000
-- names of about that length, so that a wrong name costs little.
CREATE FUNCTION bustard.unknown_cache(name pg_catalog.text) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
    asked   pg_catalog.text := pg_catalog.left($1, 128);
    nearest pg_catalog.text;
    advice  pg_catalog.text;
BEGIN
    IF $1 IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'a cache name must not be null';
    END IF;
    WITH candidate AS (
        SELECT c.name AS text, pg_catalog.length(c.name) AS size
        FROM bustard.cache AS c
        WHERE c.active
          AND pg_catalog.abs(pg_catalog.length(c.name) OPERATOR(pg_catalog.-) pg_catalog.length(asked)) OPERATOR(pg_catalog.<=) 4
        LIMIT 1000
    ), pair AS (
        SELECT DISTINCT pg_catalog.substr(pg_catalog.lower(pg_catalog.concat(' ', asked, ' ')), i.at, 2) AS text
        FROM pg_catalog.generate_series(1, pg_catalog.length(asked) OPERATOR(pg_catalog.+) 1) AS i (at)
    ), scored AS (
        SELECT c.text, c.size, pg_catalog.count(*) AS shared
        FROM candidate AS c, pair AS p
        WHERE pg_catalog.strpos(pg_catalog.lower(pg_catalog.concat(' ', c.text, ' ')), p.text) OPERATOR(pg_catalog.>) 0
        GROUP BY c.text, c.size
    )
    SELECT s.text INTO nearest
    FROM scored AS s
    WHERE (s.shared OPERATOR(pg_catalog.*) 2) OPERATOR(pg_catalog.>=) GREATEST(s.size, pg_catalog.length(asked))
    ORDER BY s.shared DESC, s.size, s.text
    LIMIT 1;

    IF nearest IS NOT NULL THEN
        advice := pg_catalog.format('Did you mean "%s"?', nearest);
    ELSE
        SELECT pg_catalog.concat('Registered caches: ', pg_catalog.string_agg(pg_catalog.left(f.name, 40), ', ' ORDER BY f.name), '.')
        INTO advice
        FROM (SELECT c.name FROM bustard.cache AS c WHERE c.active ORDER BY c.name LIMIT 10) AS f
        HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 0;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = '42704',
        MESSAGE = pg_catalog.format('cache "%s" is not registered', asked),
        HINT = COALESCE(advice, 'No cache is registered. A migration registers one with "-- bustard: register cache NAME".');
END
$$;

-- The version is count << 23 | 23 bits of the nonce, written as a product because
-- that raises 22003 on overflow. STABLE, so that it sees what the calling
-- statement sees: data and version always belong together. A plan made while the
-- tables are small must still serve when they have grown, so it uses the indexes
-- in any case. (This SET is cheap, one of search_path would not be.)
CREATE FUNCTION bustard.get_version(name pg_catalog.text) RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET enable_seqscan = off AS $$
DECLARE
    wanted  integer;
    version bigint;
BEGIN
    SELECT c.id INTO wanted
    FROM bustard.cache AS c
    WHERE c.name OPERATOR(pg_catalog.=) $1 AND c.active;
    IF NOT FOUND THEN
        PERFORM bustard.unknown_cache($1);
    END IF;

    SELECT pg_catalog.sum(s.n)::bigint OPERATOR(pg_catalog.*) 8388608::bigint
           OPERATOR(pg_catalog.|) (pg_catalog.bit_xor(s.nonce) OPERATOR(pg_catalog.&) 8388607::bigint)
    INTO version
    FROM (
        SELECT b.n, b.nonce
        FROM bustard.base AS b
        WHERE b.cache_id OPERATOR(pg_catalog.=) ANY (ARRAY[1, wanted])
      UNION ALL
        SELECT 1::bigint, e.nonce
        FROM bustard.event AS e
        WHERE e.xid OPERATOR(pg_catalog.>=) (
                  SELECT CASE WHEN b.xmin OPERATOR(pg_catalog.=) b.folder THEN b.horizon ELSE '0'::pg_catalog.xid8 END
                  FROM bustard.base AS b WHERE b.cache_id OPERATOR(pg_catalog.=) 0)
          AND e.cache_id OPERATOR(pg_catalog.=) ANY (ARRAY[1, wanted])
      UNION ALL
        SELECT 1::bigint, e.nonce
        FROM bustard.event AS e
        WHERE e.xid OPERATOR(pg_catalog.=) ANY (ARRAY(
                  SELECT pg_catalog.unnest(b.unfinished)
                  FROM bustard.base AS b WHERE b.cache_id OPERATOR(pg_catalog.=) 0 AND b.xmin OPERATOR(pg_catalog.=) b.folder))
          AND e.cache_id OPERATOR(pg_catalog.=) ANY (ARRAY[1, wanted])
    ) AS s;
    RETURN version;
END
$$;

-- Whether what was stored under that version may still be used.
CREATE FUNCTION bustard.is_valid(name pg_catalog.text, version bigint) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT COALESCE(bustard.get_version($1) OPERATOR(pg_catalog.=) $2, false)
$$;

-- Adds one event per named cache and reads neither events nor base. One unknown
-- name fails the call, repeated names count once, an empty array does nothing.
CREATE FUNCTION bustard.invalidate(VARIADIC names pg_catalog.text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    added bigint;
    asked pg_catalog.text;
BEGIN
    -- The common case, for speed alone.
    IF pg_catalog.cardinality($1) OPERATOR(pg_catalog.=) 1 THEN
        INSERT INTO bustard.event (cache_id)
        SELECT c.id FROM bustard.cache AS c
        WHERE c.name OPERATOR(pg_catalog.=) $1[1] AND c.active;
        IF FOUND THEN
            RETURN;
        END IF;
    END IF;

    IF $1 IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'the array of cache names must not be null';
    END IF;
    INSERT INTO bustard.event (cache_id)
    SELECT c.id FROM bustard.cache AS c
    WHERE c.name OPERATOR(pg_catalog.=) ANY ($1) AND c.active;
    GET DIAGNOSTICS added = ROW_COUNT;
    IF added OPERATOR(pg_catalog.<) pg_catalog.cardinality($1) THEN
        FOREACH asked IN ARRAY $1 LOOP
            PERFORM FROM bustard.cache AS c WHERE c.name OPERATOR(pg_catalog.=) asked AND c.active;
            IF NOT FOUND THEN
                PERFORM bustard.unknown_cache(asked);
            END IF;
        END LOOP;
    END IF;
END
$$;

CREATE FUNCTION bustard.invalidate_all() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO bustard.event (cache_id) VALUES (1);
END
$$;

-- The lock makes registrations wait for one another, and for nothing else. It is
-- taken before the first look at the table, and the id is the highest plus one
-- since a sequence's state does not travel with logical replication.
CREATE FUNCTION bustard.register_cache(name pg_catalog.text, app pg_catalog.text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    found_id     integer;
    found_app    pg_catalog.text;
    found_active boolean;
BEGIN
    IF $1 IS NULL OR $1 OPERATOR(pg_catalog.=) '' OR pg_catalog.length($1) OPERATOR(pg_catalog.>) 128
       OR $1 COLLATE pg_catalog."C" OPERATOR(pg_catalog.~) E'[\\u0001-\\u001f\\u007f-\\u009f]' THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = pg_catalog.format('%L cannot be the name of a cache', pg_catalog.left($1, 128)),
            HINT = 'A name has 1 to 128 characters, none of them a control character.';
    END IF;

    LOCK TABLE bustard.cache IN SHARE ROW EXCLUSIVE MODE;
    SELECT c.id, c.app, c.active INTO found_id, found_app, found_active
    FROM bustard.cache AS c WHERE c.name OPERATOR(pg_catalog.=) $1;
    IF found_active THEN
        RAISE EXCEPTION USING
            ERRCODE = '42710',
            MESSAGE = pg_catalog.format('cache "%s" is already registered', $1)
                OPERATOR(pg_catalog.||) COALESCE(' by app "' OPERATOR(pg_catalog.||) found_app OPERATOR(pg_catalog.||) '"', ''),
            HINT = 'Choose another name, or unregister it first.';
    ELSIF found_id IS NULL THEN
        INSERT INTO bustard.cache AS c (id, name, app, active)
        SELECT pg_catalog.max(o.id) OPERATOR(pg_catalog.+) 1, $1, $2, true FROM bustard.cache AS o
        RETURNING c.id INTO found_id;
    ELSE
        UPDATE bustard.cache AS c SET app = $2, active = true, registered_at = pg_catalog.now()
        WHERE c.id OPERATOR(pg_catalog.=) found_id;
    END IF;
    -- A version from before, or from a registration that was rolled back, is over.
    INSERT INTO bustard.event (cache_id) VALUES (found_id);
END
$$;

CREATE FUNCTION bustard.unregister_cache(name pg_catalog.text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    LOCK TABLE bustard.cache IN SHARE ROW EXCLUSIVE MODE;
    UPDATE bustard.cache AS c SET active = false
    WHERE c.name OPERATOR(pg_catalog.=) $1 AND c.active;
    IF NOT FOUND THEN
        PERFORM bustard.unknown_cache($1);
    END IF;
END
$$;

-- Tells who listens that there is something to look at. Call it after the commit:
-- committing transactions that notify queue up behind one lock.
CREATE FUNCTION bustard.notify() RETURNS void
LANGUAGE sql AS $$
    SELECT pg_catalog.pg_notify('bustard', '')
$$;

-- Moves events into base and returns how many, 0 also while another fold is at
-- work. Sum and XOR stay what they were, so nobody can tell. A call takes about
-- 100000 events, and always all of a transaction's; call again for the rest.
--
-- In a transaction that has begun to write, or that keeps one snapshot, it could
-- fail over an earlier fold and would hold up later ones: it refuses.
CREATE FUNCTION bustard.fold() RETURNS bigint
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

    -- From here on each statement sees all earlier folds.
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

    -- One statement, hence one snapshot: it decides what is deleted, what is
    -- counted and what the next reader may pass over. All that it sees below
    -- `horizon` goes. What it cannot see yet is either of a transaction that runs
    -- now, and is listed, or of a later one, whose number is at least the
    -- snapshot's xmax. This transaction's own number is such a later one too,
    -- since it gets it here. (Restored events may carry any number. They are
    -- folded like the others and never raise the horizon.)
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

-- All versions at once, as the reading statement sees them. The upper bound on xid
-- excludes nothing: a range with two ends makes the planner expect few rows, and so
-- take the index whatever the statistics say.
CREATE VIEW bustard.caches AS
WITH mark AS MATERIALIZED (
    SELECT CASE WHEN b.xmin OPERATOR(pg_catalog.=) b.folder THEN b.horizon ELSE '0'::pg_catalog.xid8 END AS horizon,
           CASE WHEN b.xmin OPERATOR(pg_catalog.=) b.folder THEN b.unfinished END AS unfinished
    FROM bustard.base AS b WHERE b.cache_id OPERATOR(pg_catalog.=) 0
), recent AS MATERIALIZED (
    SELECT e.cache_id, pg_catalog.count(*) AS n, pg_catalog.bit_xor(e.nonce) AS nonce
    FROM (
        SELECT o.cache_id, o.nonce FROM bustard.event AS o
        WHERE o.xid OPERATOR(pg_catalog.>=) (SELECT m.horizon FROM mark AS m)
          AND o.xid OPERATOR(pg_catalog.<=) '18446744073709551615'::pg_catalog.xid8
      UNION ALL
        SELECT o.cache_id, o.nonce FROM bustard.event AS o
        WHERE o.xid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT pg_catalog.unnest(m.unfinished) FROM mark AS m))
    ) AS e
    GROUP BY e.cache_id
), everything AS MATERIALIZED (
    SELECT b.n OPERATOR(pg_catalog.+) COALESCE(r.n, 0) AS n,
           b.nonce OPERATOR(pg_catalog.#) COALESCE(r.nonce, 0) AS nonce
    FROM bustard.base AS b LEFT JOIN recent AS r ON r.cache_id OPERATOR(pg_catalog.=) b.cache_id
    WHERE b.cache_id OPERATOR(pg_catalog.=) 1
)
SELECT c.name::pg_catalog.text AS name,
       c.app,
       (a.n OPERATOR(pg_catalog.+) COALESCE(b.n, 0) OPERATOR(pg_catalog.+) COALESCE(r.n, 0)) OPERATOR(pg_catalog.*) 8388608::bigint
           OPERATOR(pg_catalog.|) ((a.nonce OPERATOR(pg_catalog.#) COALESCE(b.nonce, 0) OPERATOR(pg_catalog.#) COALESCE(r.nonce, 0))
                                   OPERATOR(pg_catalog.&) 8388607::bigint) AS version,
       c.registered_at
FROM bustard.cache AS c
    LEFT JOIN bustard.base AS b ON b.cache_id OPERATOR(pg_catalog.=) c.id
    LEFT JOIN recent AS r ON r.cache_id OPERATOR(pg_catalog.=) c.id
    CROSS JOIN everything AS a
WHERE c.active;


-- Reading and invalidating is for everybody, the rest for who migrates.
GRANT USAGE ON SCHEMA bustard TO PUBLIC;
GRANT SELECT ON bustard.caches TO PUBLIC;
GRANT EXECUTE ON FUNCTION
    bustard.get_version(pg_catalog.text),
    bustard.is_valid(pg_catalog.text, bigint),
    bustard.invalidate(pg_catalog.text[]),
    bustard.invalidate_all(),
    bustard.notify()
TO PUBLIC;
REVOKE EXECUTE ON FUNCTION
    bustard.unknown_cache(pg_catalog.text),
    bustard.register_cache(pg_catalog.text, pg_catalog.text),
    bustard.unregister_cache(pg_catalog.text),
    bustard.fold()
FROM PUBLIC;
