-- The tables of the registry on PostgreSQL: tracked caches, their invalidations, the
-- installed apps and the records of what has been applied. The migrator creates the
-- schema `bustard` and runs this file, and then the files of the functions and views
-- (R__*.postgres.sql), in one transaction, which ends with `bustard.invalidate_all()`.
--
-- Two rules hold in all of these files, because functions run with the rights of their
-- owner, but with the settings of their caller:
--
-- 1. Every name is qualified, including operators and types, because the caller chose the
--    `search_path`. For the same reason, constructs that look up an operator themselves
--    (IN, BETWEEN, NULLIF, IS DISTINCT FROM, LIKE) are not used. A SET clause would have
--    the same effect, but would cost time on every call. (Qualified operators all have the
--    same precedence and associate from left to right, so expressions need parentheses.)
-- 2. No literal contains a backslash outside of E'', because the caller chose
--    `standard_conforming_strings` too.
--
-- Four more rules hold in the files of functions and views, because they are
-- installed again whenever their text changes, in databases that are in use:
--
-- 1. They use CREATE OR REPLACE and never DROP, so that signature, return type, owner and
--    privileges stay. A function with another signature is a new function.
-- 2. A text works in a snapshot from before the versioned file of the same release. A
--    session with an older snapshot can call the new function, but does not see the rows
--    of the new tables, or does not see the tables.
-- 3. `depends on bustard R__…` names every function and view that must exist when the
--    text is installed.
-- 4. When a function is first created, it calls `bustard.share` to grant the rights to
--    PUBLIC. A later installation does not, because `[registry] grant` may have revoked
--    them.
--
-- This file runs again where some of these objects are missing, and after a restore that
-- brought the tables without their rows: it keeps what is there.
--
-- A changed text needs a higher edition: see src/source/own.rs.


-- A source is what invalidations belong to: all caches (source 1), one cache, a table, or a
-- table and the columns of a key. Caches and other sources share one space of ids. The
-- invalidations of a source are counted in cells: id << 12 | slot. Slot 0 is the whole
-- source. The keys of a cache, and of a table with a key, are divided into 4093 buckets, and
-- slot 2 + b is the bucket b. Slot 1 exists in bustard.base only. It is the sum of the
-- source's buckets.

-- Registered names. Rows are never deleted, so an id never changes its meaning. Row 1 stands
-- for all caches; its name cannot be registered. A cache is a source of its own. `wide` and
-- `keyed` list the other sources that its versions count, as a whole or by key. `rule` is the
-- rule of its keys (see bustard.source), or of the keys that it had last. The carry is what
-- the sources that were removed from the cache had come to. A version of the cache is
-- pack(carry_n + the sum of n, carry_nonce XOR the nonces), over the events and sums of
-- source 1, of the cache and of the listed sources. A version of a key is the same, but of
-- the buckets of the cache and of its keyed sources, it counts only that of the key.
CREATE TABLE IF NOT EXISTS bustard.cache (
    id            integer NOT NULL PRIMARY KEY,
    name          pg_catalog.text COLLATE pg_catalog."C" NOT NULL UNIQUE,
    app           pg_catalog.text,
    active        boolean NOT NULL,
    wide          integer[] NOT NULL DEFAULT '{}',
    keyed         integer[] NOT NULL DEFAULT '{}',
    rule          pg_catalog.text,
    carry_n       bigint NOT NULL DEFAULT 0,
    carry_nonce   bigint NOT NULL DEFAULT 0,
    registered_at timestamp with time zone NOT NULL DEFAULT pg_catalog.now()
);

-- One row per invalidation since the last fold. Invalidations only insert. There is no
-- unique index and no foreign key, so transactions that invalidate never wait for each
-- other. The nonce is 64 random bits. It is computed from the transaction's number too, so
-- that nonces differ even between sessions that call setseed() with the same value.
-- (gen_random_uuid() would make an invalidating transaction about 5 % slower.)
CREATE TABLE IF NOT EXISTS bustard.event (
    xid      pg_catalog.xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),
    nonce    bigint NOT NULL DEFAULT pg_catalog.hashfloat8extended(
        pg_catalog.random(), pg_catalog.hashfloat8extended(pg_catalog.random(), pg_catalog.txid_current())),
    cell     bigint NOT NULL
) WITH (
    -- Folding leaves dead rows at a steady rate, which does not depend on the size of the
    -- table.
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_threshold = -1,
    -- If vacuum truncated the file, readers and writers would wait for its lock.
    vacuum_truncate = false
);

-- Lets readers skip events that are folded but not yet vacuumed.
CREATE INDEX IF NOT EXISTS event_xid ON bustard.event (xid);

-- If a publication contains all tables, DELETE needs a replica identity.
ALTER TABLE bustard.event REPLICA IDENTITY FULL;

-- The folded events: their count and the XOR of their nonces for each cell, and the
-- total of all cells in rows of cell 0. A cell usually has one row. It has several after
-- folds at the same time, because folds do not wait for one another. The rows of cell 0
-- also say which events a fold covered: every event below `horizon` except the events of the
-- transactions in `unfinished`. The functions and views use such a row only if it was written
-- by the transaction `folder`, because after a restore into another cluster it was not, and
-- there the numbers would mean other transactions. They do not use a horizon above the
-- snapshot's xmax either, because then the numbers of this cluster have gone back.
CREATE TABLE IF NOT EXISTS bustard.base (
    cell       bigint NOT NULL,
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

CREATE INDEX IF NOT EXISTS base_cell ON bustard.base (cell);
ALTER TABLE bustard.base REPLICA IDENTITY FULL;

-- The buckets that the last 100 folds changed. It says only what a reader need not read
-- again. A reader compares the sum of what it knows with slot 1, and so notices what this
-- table does not say, for example after a restore. Folds of other cells are not listed.
CREATE TABLE IF NOT EXISTS bustard.fold (
    xid   pg_catalog.xid8 NOT NULL,
    cells bigint[] NOT NULL
) WITH (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 500,
    vacuum_truncate = false
);

ALTER TABLE bustard.fold REPLICA IDENTITY FULL;

INSERT INTO bustard.cache (id, name, active) VALUES (1, '', false) ON CONFLICT DO NOTHING;

-- The first row counts as an invalidation of all caches, so no version is ever 0.
-- Both rows have the same nonce, so that the total is the sum of all.
WITH first AS MATERIALIZED (
    SELECT pg_catalog.uuid_hash_extended(pg_catalog.gen_random_uuid(), 0) AS nonce
)
INSERT INTO bustard.base (cell, n, nonce)
SELECT i.cell, 1, first.nonce
FROM first, pg_catalog.unnest('{0,4096}'::bigint[]) AS i (cell)
WHERE NOT EXISTS (SELECT FROM bustard.base AS b WHERE b.cell OPERATOR(pg_catalog.=) i.cell);

-- The tables whose writes invalidate caches. `columns` is empty if writes invalidate whole
-- caches. Otherwise these are the columns of the key whose writes invalidate it, and `rule`
-- says how a key becomes a bucket: 'int', 'uuid' or 'text', or several of these, separated by
-- commas, for a key of several columns. Rows are never deleted, so an id never changes its
-- meaning. A table is found by its name first, because a dump keeps names, and by
-- `relation` if it was renamed. A source is active while a registered cache counts it, and
-- then its table has triggers. `body` is the text of the function of these triggers, as
-- Bustard has written it.
CREATE TABLE IF NOT EXISTS bustard.source (
    id          integer NOT NULL PRIMARY KEY,
    schema_name pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
    table_name  pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
    columns     pg_catalog.text[] COLLATE pg_catalog."C" NOT NULL DEFAULT '{}',
    rule        pg_catalog.text COLLATE pg_catalog."C" NOT NULL DEFAULT '',
    relation    pg_catalog.oid NOT NULL,
    active      boolean NOT NULL DEFAULT false,
    body        pg_catalog.text,
    UNIQUE (schema_name, table_name, columns, rule)
);

-- If the rows of the sources are lost, the ids that caches count must not be given to other
-- tables.
INSERT INTO bustard.source (id, schema_name, table_name, relation)
SELECT DISTINCT i.id, '', i.id::pg_catalog.text, 0::pg_catalog.oid
FROM bustard.cache AS c CROSS JOIN LATERAL pg_catalog.unnest(c.wide OPERATOR(pg_catalog.||) c.keyed) AS i (id)
ON CONFLICT DO NOTHING;

-- The sources that a cache had before. Unregistering a cache and changing its sources add a
-- row with the next depth. Reverting them takes the row with the highest depth.
CREATE TABLE IF NOT EXISTS bustard.former_sources (
    cache_id integer NOT NULL,
    depth    integer NOT NULL,
    wide     integer[] NOT NULL,
    keyed    integer[] NOT NULL,
    PRIMARY KEY (cache_id, depth)
);

-- The installed apps. `history` is the name of the app's history table, quoted as in
-- SQL; if `pinned`, it is there wherever the configuration and the search path
-- lead to. The migrations of a disabled app are not expected. A kept app was uninstalled
-- without dropping its tables and its history.
CREATE TABLE IF NOT EXISTS bustard.app (
    label   pg_catalog.text COLLATE pg_catalog."C" NOT NULL PRIMARY KEY,
    history pg_catalog.text NOT NULL,
    state   pg_catalog.text NOT NULL CHECK (state OPERATOR(pg_catalog.=) ANY ('{enabled,disabled,kept}'::pg_catalog.text[])),
    pinned  boolean NOT NULL DEFAULT false
);

-- The record of each applied migration. `body_checksum` is the checksum of its text
-- without its dependencies. `depends_on` lists the migrations of other apps that it
-- depends on ("forum:1 bans:2"), and `required_by` lists the migrations that it must
-- precede. `revert` is the text of a migration file that reverts the migration. If that
-- text alone does not revert it, `irreversible` is the reason. `applied_on` is
-- the date in the history. It tells that history from another one.
CREATE TABLE IF NOT EXISTS bustard.migration (
    app           pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
    version       bigint NOT NULL,
    body_checksum pg_catalog.text NOT NULL,
    depends_on    pg_catalog.text NOT NULL,
    required_by   pg_catalog.text NOT NULL,
    revert        pg_catalog.text NOT NULL,
    irreversible  pg_catalog.text,
    applied_on    pg_catalog.text,
    PRIMARY KEY (app, version)
);

-- The texts of repeatable migrations that have been installed. Replaced texts stay,
-- because Bustard must notice an older release that would install one of them again.
-- `edition` and `definition` are used only for Bustard's own functions. `edition` is the
-- edition of the release that installed them. `definition` is the definition that the
-- catalogue had after the installation (its hash for a function), and shows a change that
-- was made by hand. `depends_on` lists dependencies ("forum:1 forum:R__names"). `revert`
-- is the text of a migration file that drops the objects when the app is uninstalled. If
-- that text alone does not drop them, `irreversible` is the reason.
CREATE TABLE IF NOT EXISTS bustard.repeatable (
    app          pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
    name         pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
    checksum     pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
    is_current   boolean NOT NULL,
    installed_at timestamp with time zone NOT NULL DEFAULT pg_catalog.now(),
    edition      integer,
    definition   pg_catalog.text,
    depends_on   pg_catalog.text NOT NULL DEFAULT '',
    revert       pg_catalog.text NOT NULL DEFAULT '',
    irreversible pg_catalog.text,
    PRIMARY KEY (app, name, checksum)
);

-- The identity of this database, and where it was given: the system identifier of the
-- cluster and the OID of the database. A copy has the same identity, and is somewhere else.
-- What the role that writes the row may not read is null. There is one row.
CREATE TABLE IF NOT EXISTS bustard.database (
    id                integer NOT NULL PRIMARY KEY DEFAULT 1 CHECK (id OPERATOR(pg_catalog.=) 1),
    identity          pg_catalog.uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid(),
    system_identifier bigint,
    oid               pg_catalog.oid
);

DO $$
DECLARE
    system bigint;
BEGIN
    BEGIN
        SELECT c.system_identifier INTO system FROM pg_catalog.pg_control_system() AS c;
    EXCEPTION WHEN OTHERS THEN
        system := NULL;
    END;
    INSERT INTO bustard.database (system_identifier, oid)
    SELECT system, d.oid FROM pg_catalog.pg_database AS d
    WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
    ON CONFLICT DO NOTHING;
END
$$;

-- Default privileges may have given rights on these tables to other roles. A role that
-- writes bustard.migration decides which statements an uninstall runs, so these rights
-- are revoked. (A later step revokes those on the functions.)
DO $$
DECLARE
    revoke pg_catalog.text;
BEGIN
    FOR revoke IN
        SELECT pg_catalog.format('REVOKE %s ON TABLE %s FROM %s', a.privilege_type, c.oid::pg_catalog.regclass,
            CASE WHEN a.grantee OPERATOR(pg_catalog.=) 0::pg_catalog.oid THEN 'PUBLIC'
                 ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END)
        FROM pg_catalog.pg_class AS c, LATERAL pg_catalog.aclexplode(c.relacl) AS a
        WHERE c.relnamespace OPERATOR(pg_catalog.=) 'bustard'::pg_catalog.regnamespace::pg_catalog.oid
          AND a.grantee OPERATOR(pg_catalog.<>) c.relowner
    LOOP
        EXECUTE revoke;
    END LOOP;
END
$$;

-- PUBLIC may read the state of apps and migrations, but not the statements in `revert`.
-- These statements run with the rights of the role that uninstalls, so only the owner may
-- write them.
GRANT USAGE ON SCHEMA bustard TO PUBLIC;
GRANT SELECT ON bustard.app TO PUBLIC;
GRANT SELECT (app, version, body_checksum, depends_on, required_by, applied_on) ON bustard.migration TO PUBLIC;
GRANT SELECT (app, name, checksum, is_current, installed_at, edition, definition, depends_on) ON bustard.repeatable TO PUBLIC;
