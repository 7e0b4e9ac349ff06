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

    -- Planning the query below takes longer than running it where little is wanted.
    -- Here the planner cannot look into the sub-select, so that one plan serves all
    -- calls of a session, and goes by the indexes however small the tables were.
    IF pg_catalog.cardinality(wanted) OPERATOR(pg_catalog.<=) 100 AND pg_catalog.cardinality(ids) OPERATOR(pg_catalog.<=) 100 THEN
        RETURN QUERY
            SELECT k.name::pg_catalog.text, k.app,
                   all_n OPERATOR(pg_catalog.+) COALESCE(k.n, 0) OPERATOR(pg_catalog.+) COALESCE(ns[k.at], 0),
                   all_nonce OPERATOR(pg_catalog.#) COALESCE(k.nonce, 0) OPERATOR(pg_catalog.#) COALESCE(nonces[k.at], 0),
                   NULL::bigint
            FROM pg_catalog.unnest((SELECT wanted)) AS w (name)
                CROSS JOIN LATERAL (
                    SELECT c.name, c.app, b.n, b.nonce, pg_catalog.array_position(ids, c.id) AS at
                    FROM bustard.cache AS c
                        LEFT JOIN bustard.base AS b ON b.cache_id OPERATOR(pg_catalog.=) c.id
                    WHERE c.active AND c.name OPERATOR(pg_catalog.=) w.name
                    OFFSET 0
                ) AS k;
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

-- The tables whose writes invalidate a cache. A table is known by its name first,
-- which is what a dump keeps; `relation` is by what it is found again after it has
-- been renamed. `suspended` counts how often the cache has been unregistered since:
-- the rows at 0 hold now, those at 1 are what undoing the last time goes back to.
CREATE TABLE bustard.tracked_table (
    cache_id    integer NOT NULL,
    schema_name pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
    table_name  pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
    relation    pg_catalog.oid NOT NULL,
    suspended   integer NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX tracked_table_now ON bustard.tracked_table (cache_id, schema_name, table_name)
WHERE suspended OPERATOR(pg_catalog.=) 0;
-- Where all tables are published, those without one cannot be updated.
ALTER TABLE bustard.tracked_table REPLICA IDENTITY FULL;

-- What a trigger on a tracked table does. Its argument is the cache's name, since
-- that means the same wherever the table is restored. A statement that has changed
-- no row invalidates nothing.
CREATE FUNCTION bustard.table_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF TG_OP OPERATOR(pg_catalog.=) 'TRUNCATE' THEN
        INSERT INTO bustard.event (cache_id)
        SELECT c.id FROM bustard.cache AS c
        WHERE c.name OPERATOR(pg_catalog.=) TG_ARGV[0] AND c.active;
    ELSE
        INSERT INTO bustard.event (cache_id)
        SELECT c.id FROM bustard.cache AS c
        WHERE c.name OPERATOR(pg_catalog.=) TG_ARGV[0] AND c.active AND EXISTS (SELECT FROM changed);
    END IF;
    IF FOUND OR pg_catalog.current_setting('transaction_isolation')
                OPERATOR(pg_catalog.<>) ALL ('{repeatable read,serializable}'::pg_catalog.text[]) THEN
        RETURN NULL;
    END IF;

    -- A transaction that keeps one snapshot may have taken it before the cache was
    -- registered. What it writes counts all the same, for all caches, since the
    -- snapshot does not show this one.
    PERFORM FROM bustard.cache AS c WHERE c.name OPERATOR(pg_catalog.=) TG_ARGV[0] AND c.active;
    IF FOUND THEN
        RETURN NULL;
    ELSIF TG_OP OPERATOR(pg_catalog.=) 'TRUNCATE' THEN
        INSERT INTO bustard.event (cache_id) VALUES (1);
    ELSE
        INSERT INTO bustard.event (cache_id) SELECT 1 WHERE EXISTS (SELECT FROM changed);
    END IF;
    RETURN NULL;
END
$$;

-- The name of a cache's trigger: no more than 63 bytes.
CREATE FUNCTION bustard.trigger_name(event pg_catalog.text, cache pg_catalog.text) RETURNS pg_catalog.name
LANGUAGE sql IMMUTABLE AS $$
    SELECT pg_catalog.format('bustard_%s_%s', $1, pg_catalog.encode(
        pg_catalog.substr(pg_catalog.sha256(pg_catalog.convert_to($2, 'UTF8')), 1, 8), 'hex'))::pg_catalog.name
$$;

-- Where the tables of registered caches are now: `found` is null where nothing of
-- that name is left, and `renamed` says that only the relation was found, with our
-- triggers on it.
CREATE VIEW bustard.located AS
SELECT t.cache_id, c.name AS cache, t.schema_name, t.table_name, t.relation,
       COALESCE(named.oid, renamed.oid) AS found,
       named.oid IS NULL AND renamed.oid IS NOT NULL AS renamed
FROM bustard.tracked_table AS t
    JOIN bustard.cache AS c ON c.id OPERATOR(pg_catalog.=) t.cache_id AND c.active
    LEFT JOIN LATERAL (
        SELECT k.oid
        FROM pg_catalog.pg_class AS k
            JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) k.relnamespace
        WHERE n.nspname OPERATOR(pg_catalog.=) t.schema_name::pg_catalog.name
          AND k.relname OPERATOR(pg_catalog.=) t.table_name::pg_catalog.name
          AND k.relkind OPERATOR(pg_catalog.=) ANY ('{r,p}'::pg_catalog."char"[])
    ) AS named ON true
    LEFT JOIN LATERAL (
        SELECT k.oid
        FROM pg_catalog.pg_class AS k
            JOIN pg_catalog.pg_trigger AS g ON g.tgrelid OPERATOR(pg_catalog.=) k.oid
        WHERE named.oid IS NULL
          AND k.oid OPERATOR(pg_catalog.=) t.relation
          AND g.tgname OPERATOR(pg_catalog.=) bustard.trigger_name('truncate', c.name)
    ) AS renamed ON true
WHERE t.suspended OPERATOR(pg_catalog.=) 0;

-- The triggers that there should be: four on each tracked table, on all that is below
-- it, since writing to a partition directly fires nothing on its parent, and on all
-- that is above any of these, since writing through a parent fires nothing on its
-- partitions. (A statement does not say which of them it has written to, so one that
-- goes through the parent of a tracked partition always counts.) Temporary children
-- are their session's own affair.
CREATE VIEW bustard.wanted_trigger AS
WITH RECURSIVE part AS (
    SELECT l.cache, l.found AS relation FROM bustard.located AS l WHERE l.found IS NOT NULL
  UNION
    SELECT p.cache, k.oid
    FROM part AS p
        JOIN pg_catalog.pg_inherits AS i ON i.inhparent OPERATOR(pg_catalog.=) p.relation
        JOIN pg_catalog.pg_class AS k ON k.oid OPERATOR(pg_catalog.=) i.inhrelid
    WHERE k.relkind OPERATOR(pg_catalog.=) ANY ('{r,p}'::pg_catalog."char"[])
      AND k.relpersistence OPERATOR(pg_catalog.<>) 't'::pg_catalog."char"
), whole AS (
    SELECT p.cache, p.relation FROM part AS p
  UNION
    SELECT w.cache, i.inhparent
    FROM whole AS w
        JOIN pg_catalog.pg_inherits AS i ON i.inhrelid OPERATOR(pg_catalog.=) w.relation
        JOIN pg_catalog.pg_class AS k ON k.oid OPERATOR(pg_catalog.=) i.inhparent
    WHERE k.relkind OPERATOR(pg_catalog.=) ANY ('{r,p}'::pg_catalog."char"[])
)
SELECT p.cache, p.relation, n.nspname AS schema_name, k.relname AS table_name,
       EXISTS (SELECT FROM part AS o WHERE o.cache OPERATOR(pg_catalog.=) p.cache AND o.relation OPERATOR(pg_catalog.=) p.relation) AS below,
       v.event, v.rows, bustard.trigger_name(v.event, p.cache) AS name,
       EXISTS (
           SELECT FROM pg_catalog.pg_trigger AS g
           WHERE g.tgrelid OPERATOR(pg_catalog.=) p.relation
             AND g.tgname OPERATOR(pg_catalog.=) bustard.trigger_name(v.event, p.cache)
             AND g.tgfoid OPERATOR(pg_catalog.=) 'bustard.table_changed()'::pg_catalog.regprocedure::pg_catalog.oid
             AND g.tgenabled OPERATOR(pg_catalog.=) ANY ('{O,A}'::pg_catalog."char"[])
       ) AS installed
FROM whole AS p
    JOIN pg_catalog.pg_class AS k ON k.oid OPERATOR(pg_catalog.=) p.relation
    JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) k.relnamespace
    CROSS JOIN (VALUES
        ('insert'::pg_catalog.text, 'REFERENCING NEW TABLE AS changed'::pg_catalog.text),
        ('update', 'REFERENCING NEW TABLE AS changed'),
        ('delete', 'REFERENCING OLD TABLE AS changed'),
        ('truncate', '')
    ) AS v (event, rows);

-- What is not as it was registered: a table or partition without its triggers
-- ('triggers'), one that has another name now ('renamed'), one that is gone ('gone'),
-- or a foreign table that has become a partition ('foreign'). The first two are what
-- bustard.install_triggers() sets right.
CREATE FUNCTION bustard.untracked(OUT cache pg_catalog.text, OUT relation pg_catalog.text, OUT why pg_catalog.text)
RETURNS SETOF record
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM bustard.tracked_table AS t WHERE t.suspended OPERATOR(pg_catalog.=) 0) THEN
        RETURN;
    END IF;
    RETURN QUERY
        SELECT l.cache::pg_catalog.text, pg_catalog.format('%I.%I', l.schema_name, l.table_name),
               CASE WHEN l.renamed THEN 'renamed' ELSE 'gone' END
        FROM bustard.located AS l WHERE l.renamed OR l.found IS NULL
      UNION ALL
        SELECT DISTINCT w.cache::pg_catalog.text, pg_catalog.format('%I.%I', w.schema_name, w.table_name), 'triggers'
        FROM bustard.wanted_trigger AS w WHERE NOT w.installed
      UNION ALL
        SELECT DISTINCT w.cache::pg_catalog.text, pg_catalog.format('%I.%I', n.nspname, k.relname), 'foreign'
        FROM bustard.wanted_trigger AS w
            JOIN pg_catalog.pg_inherits AS i ON i.inhparent OPERATOR(pg_catalog.=) w.relation
            JOIN pg_catalog.pg_class AS k ON k.oid OPERATOR(pg_catalog.=) i.inhrelid
            JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) k.relnamespace
        WHERE w.below AND k.relkind OPERATOR(pg_catalog.=) 'f'::pg_catalog."char"
        ORDER BY 1, 2;
END
$$;

-- Drops triggers that nobody wants any more: of caches that are not registered, on
-- tables that others have taken the place of, on partitions that are none now. They
-- do no harm, so what cannot be dropped, on somebody else's table or before a lock
-- time-out, stays. So does all of a cache one of whose tables is gone: that may only have another name here.
CREATE FUNCTION bustard.drop_triggers() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    kept     pg_catalog.name[] := ARRAY(
        SELECT bustard.trigger_name(v.event, l.cache)
        FROM bustard.located AS l, pg_catalog.unnest('{insert,update,delete,truncate}'::pg_catalog.text[]) AS v (event)
        WHERE l.found IS NULL);
    unwanted pg_catalog.record;
BEGIN
    FOR unwanted IN
        SELECT n.nspname AS schema_name, k.relname AS table_name, u.name
        FROM (
            SELECT g.tgrelid AS relation, g.tgname AS name
            FROM pg_catalog.pg_trigger AS g
            WHERE g.tgfoid OPERATOR(pg_catalog.=) 'bustard.table_changed()'::pg_catalog.regprocedure::pg_catalog.oid
              AND g.tgname OPERATOR(pg_catalog.<>) ALL (kept)
          EXCEPT
            SELECT w.relation, w.name FROM bustard.wanted_trigger AS w
        ) AS u
            JOIN pg_catalog.pg_class AS k ON k.oid OPERATOR(pg_catalog.=) u.relation
            JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) k.relnamespace
        ORDER BY 1, 2, 3
    LOOP
        BEGIN
            EXECUTE pg_catalog.format('DROP TRIGGER IF EXISTS %I ON %I.%I', unwanted.name, unwanted.schema_name, unwanted.table_name);
        EXCEPTION WHEN insufficient_privilege OR lock_not_available THEN
            NULL;
        END;
    END LOOP;
END
$$;

-- Sees to it that there is each trigger that there should be, and none that should
-- not. Locks no table on which nothing is missing. With the rights of the caller,
-- who must be allowed to create triggers on the tables. For a role that migrates its
-- own app beside the registry's owner it is enough that nothing is missing.
CREATE FUNCTION bustard.install_triggers() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    moved   pg_catalog.record;
    missing pg_catalog.record;
BEGIN
    IF NOT pg_catalog.has_table_privilege('bustard.tracked_table', 'UPDATE') THEN
        SELECT u.cache, u.relation INTO missing
        FROM bustard.untracked() AS u
        WHERE u.why OPERATOR(pg_catalog.=) ANY ('{triggers,renamed}'::pg_catalog.text[]) LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION USING
                ERRCODE = '42501',
                MESSAGE = pg_catalog.format('the triggers of the cache "%s" are to be put back on %s, which only the owner of the registry may do',
                    missing.cache, missing.relation),
                HINT = 'Migrate as the role that owns the schema "bustard", or as a member of it.';
        END IF;
        RETURN;
    ELSIF NOT EXISTS (SELECT FROM bustard.tracked_table) THEN
        RETURN;
    END IF;
    FOR moved IN
        SELECT l.cache_id, l.schema_name, l.table_name, l.renamed, l.found, n.nspname AS new_schema, k.relname AS new_table
        FROM bustard.located AS l
            JOIN pg_catalog.pg_class AS k ON k.oid OPERATOR(pg_catalog.=) l.found
            JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) k.relnamespace
        WHERE l.renamed OR l.relation OPERATOR(pg_catalog.<>) l.found
    LOOP
        -- Where it has taken the name of another tracked one, one row is enough.
        DELETE FROM bustard.tracked_table AS t
        WHERE moved.renamed
          AND t.suspended OPERATOR(pg_catalog.=) 0
          AND t.cache_id OPERATOR(pg_catalog.=) moved.cache_id
          AND t.schema_name OPERATOR(pg_catalog.=) moved.new_schema::pg_catalog.text
          AND t.table_name OPERATOR(pg_catalog.=) moved.new_table::pg_catalog.text;
        UPDATE bustard.tracked_table AS t
        SET schema_name = moved.new_schema, table_name = moved.new_table, relation = moved.found
        WHERE t.cache_id OPERATOR(pg_catalog.=) moved.cache_id
          AND t.schema_name OPERATOR(pg_catalog.=) moved.schema_name AND t.table_name OPERATOR(pg_catalog.=) moved.table_name;
    END LOOP;

    FOR missing IN
        SELECT w.schema_name, w.table_name, w.name, w.event, w.rows, w.cache
        FROM bustard.wanted_trigger AS w WHERE NOT w.installed
        ORDER BY w.schema_name, w.table_name, w.name
    LOOP
        BEGIN
            EXECUTE pg_catalog.format(
                'CREATE OR REPLACE TRIGGER %I AFTER %s ON %I.%I %s FOR EACH STATEMENT EXECUTE FUNCTION bustard.table_changed(%L)',
                missing.name, missing.event, missing.schema_name, missing.table_name, missing.rows, missing.cache);
        EXCEPTION WHEN insufficient_privilege OR lock_not_available THEN
            RAISE EXCEPTION USING
                ERRCODE = SQLSTATE,
                MESSAGE = pg_catalog.format('the triggers of the cache "%s" cannot be created on %I.%I: %s',
                    missing.cache, missing.schema_name, missing.table_name, SQLERRM),
                HINT = CASE WHEN SQLSTATE OPERATOR(pg_catalog.=) '42501' THEN
                    'Migrate as the owner of the table, or as a role that has TRIGGER on it.' ELSE 'Migrate when no long transaction writes to the table.' END;
        END;
    END LOOP;
    PERFORM bustard.drop_triggers();
END
$$;

-- Registers a cache that writes to these tables invalidate. The names are looked up
-- as the caller's SQL would look them up.
CREATE FUNCTION bustard.register_cache_on(name pg_catalog.text, app pg_catalog.text, VARIADIC tables pg_catalog.text[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    registered integer;
    asked      pg_catalog.text;
    target     pg_catalog.record;
    what       pg_catalog.text;
BEGIN
    PERFORM bustard.register_cache($1, $2);
    SELECT c.id INTO registered FROM bustard.cache AS c WHERE c.name OPERATOR(pg_catalog.=) $1;
    FOREACH asked IN ARRAY COALESCE($3, '{}'::pg_catalog.text[]) LOOP
        SELECT k.oid, k.relname, k.relkind, k.relpersistence, n.nspname INTO target
        FROM pg_catalog.pg_class AS k
            JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) k.relnamespace
        WHERE k.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(asked)::pg_catalog.oid;
        IF NOT FOUND THEN
            RAISE EXCEPTION USING
                ERRCODE = '42P01',
                MESSAGE = pg_catalog.format('there is no table %s for the cache "%s"', asked, $1),
                HINT = 'Register the cache after the statement that creates the table.';
        END IF;
        what := CASE
            WHEN target.nspname OPERATOR(pg_catalog.=) 'bustard'::pg_catalog.name THEN 'one of Bustard''s own tables'
            WHEN target.nspname OPERATOR(pg_catalog.=) ANY ('{pg_catalog,information_schema,pg_toast}'::pg_catalog.name[]) THEN 'a system catalog'
            WHEN target.relkind OPERATOR(pg_catalog.=) 'v'::pg_catalog."char" THEN 'a view'
            WHEN target.relkind OPERATOR(pg_catalog.=) 'm'::pg_catalog."char" THEN 'a materialized view'
            WHEN target.relkind OPERATOR(pg_catalog.=) 'f'::pg_catalog."char" THEN 'a foreign table'
            WHEN target.relkind OPERATOR(pg_catalog.<>) ALL ('{r,p}'::pg_catalog."char"[]) THEN 'no table'
            WHEN target.relpersistence OPERATOR(pg_catalog.=) 't'::pg_catalog."char" THEN 'a temporary table'
        END;
        IF what IS NOT NULL THEN
            RAISE EXCEPTION USING
                ERRCODE = '42809',
                MESSAGE = pg_catalog.format('%s is %s: writes to it cannot invalidate the cache "%s"', asked, what, $1),
                HINT = 'Name the tables that its contents come from, or call bustard.invalidate() where it is written.';
        END IF;
        INSERT INTO bustard.tracked_table AS t (cache_id, schema_name, table_name, relation)
        VALUES (registered, target.nspname, target.relname, target.oid)
        ON CONFLICT (cache_id, schema_name, table_name) WHERE suspended OPERATOR(pg_catalog.=) 0 DO NOTHING;
    END LOOP;
    SELECT u.relation INTO what FROM bustard.untracked() AS u
    WHERE u.cache OPERATOR(pg_catalog.=) $1 AND u.why OPERATOR(pg_catalog.=) 'foreign' LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = '42809',
            MESSAGE = pg_catalog.format('%s is a foreign table below one of these: writes to it cannot invalidate the cache "%s"', what, $1),
            HINT = 'Name those of the partitions that are no foreign tables.';
    END IF;
    PERFORM bustard.install_triggers();
END
$$;

-- Undoes bustard.register_cache() and bustard.register_cache_on(): what there was
-- before is again the last.
CREATE FUNCTION bustard.undo_register_cache(name pg_catalog.text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM bustard.unregister_cache($1);
    DELETE FROM bustard.tracked_table AS t USING bustard.cache AS c
    WHERE c.name OPERATOR(pg_catalog.=) $1 AND t.cache_id OPERATOR(pg_catalog.=) c.id
      AND t.suspended OPERATOR(pg_catalog.=) 1;
    UPDATE bustard.tracked_table AS t SET suspended = t.suspended OPERATOR(pg_catalog.-) 1
    FROM bustard.cache AS c
    WHERE c.name OPERATOR(pg_catalog.=) $1 AND t.cache_id OPERATOR(pg_catalog.=) c.id;
END
$$;

-- Undoes bustard.unregister_cache(): the same owner, the same tables.
CREATE FUNCTION bustard.register_cache_again(name pg_catalog.text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM bustard.register_cache($1, (SELECT c.app FROM bustard.cache AS c WHERE c.name OPERATOR(pg_catalog.=) $1));
    UPDATE bustard.tracked_table AS t SET suspended = t.suspended OPERATOR(pg_catalog.-) 1
    FROM bustard.cache AS c
    WHERE c.name OPERATOR(pg_catalog.=) $1 AND t.cache_id OPERATOR(pg_catalog.=) c.id;
    PERFORM bustard.install_triggers();
END
$$;

-- As before, and without triggers from now on; with an event, so that whoever looks
-- at the sum of everything notices.
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
    UPDATE bustard.tracked_table AS t SET suspended = t.suspended OPERATOR(pg_catalog.+) 1
    WHERE t.cache_id OPERATOR(pg_catalog.=) found_id;
    IF FOUND THEN
        PERFORM bustard.drop_triggers();
    END IF;
END
$$;

GRANT EXECUTE ON FUNCTION
    bustard.snapshot(bigint, bigint, pg_catalog.text[]),
    bustard.identity(pg_catalog.text),
    bustard.untracked(),
    bustard.install_triggers()
TO PUBLIC;
REVOKE EXECUTE ON FUNCTION
    bustard.table_changed(),
    bustard.trigger_name(pg_catalog.text, pg_catalog.text),
    bustard.drop_triggers(),
    bustard.register_cache_on(pg_catalog.text, pg_catalog.text, pg_catalog.text[]),
    bustard.register_cache_again(pg_catalog.text),
    bustard.undo_register_cache(pg_catalog.text)
FROM PUBLIC;

-- Whoever applies this: one role owns all of it, since functions of V1 that run with
-- their owner's rights use the tables from here.
DO $$
DECLARE
    owner pg_catalog.name := (
        SELECT pg_catalog.pg_get_userbyid(k.relowner) FROM pg_catalog.pg_class AS k
        WHERE k.oid OPERATOR(pg_catalog.=) 'bustard.cache'::pg_catalog.regclass::pg_catalog.oid);
    object pg_catalog.text;
BEGIN
    FOR object IN
        SELECT pg_catalog.format('TABLE %s', k.oid::pg_catalog.regclass)
        FROM pg_catalog.pg_class AS k
        WHERE k.relnamespace OPERATOR(pg_catalog.=) 'bustard'::pg_catalog.regnamespace::pg_catalog.oid
          AND k.relkind OPERATOR(pg_catalog.=) ANY ('{r,v}'::pg_catalog."char"[])
          AND pg_catalog.pg_get_userbyid(k.relowner) OPERATOR(pg_catalog.<>) owner
      UNION ALL
        SELECT pg_catalog.format('FUNCTION %s', p.oid::pg_catalog.regprocedure)
        FROM pg_catalog.pg_proc AS p
        WHERE p.pronamespace OPERATOR(pg_catalog.=) 'bustard'::pg_catalog.regnamespace::pg_catalog.oid
          AND pg_catalog.pg_get_userbyid(p.proowner) OPERATOR(pg_catalog.<>) owner
    LOOP
        EXECUTE pg_catalog.format('ALTER %s OWNER TO %I', object, owner);
    END LOOP;
END
$$;
