-- The tables of the registry on PostgreSQL: tracked caches, their invalidations, the
-- installed apps and the records of what has been applied. The migrator creates the
-- schema `bustard` and runs this file, and then those of the functions and views
-- (R__*.postgres.sql), in one transaction, which ends with `bustard.invalidate_all()`.
--
-- Two rules hold in all of these files, because functions run with their owner's
-- rights under a `search_path` that the caller chose. Every name is qualified,
-- operators and types too, and constructs that look up an operator by themselves
-- (IN, BETWEEN, NULLIF, IS DISTINCT FROM, LIKE) are not used. A SET clause would
-- do the same at a price on every call. (Operators written this way all bind alike,
-- from left to right: hence the parentheses.) And no literal contains a backslash
-- outside E'', because the caller chose `standard_conforming_strings` as well.
--
-- Four more rules hold in the files of functions and views, because they are
-- installed again whenever their text changes, in databases that are in use:
--
-- 1. CREATE OR REPLACE, never DROP: signature, return type, owner and privileges stay.
--    A function with another signature is a new function.
-- 2. A text works in a snapshot from before the versioned file that it came with: a
--    session with an older snapshot calls the new function and does not see the new
--    tables' rows, or the tables at all.
-- 3. Whatever it needs when it is created (SQL functions, views) is named by
--    `depends on bustard R__…`.
-- 4. PUBLIC gets its rights when the function is first created, by `bustard.share`,
--    because `[registry] grant` takes them away afterwards.
--
-- A changed text needs a higher edition: see src/source/own.rs.


-- Registered names. Rows are never deleted, so an id never changes its meaning.
-- Row 1 stands for all caches; its name cannot be registered.
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

-- The tables whose writes invalidate a cache. A table is found by its name first,
-- which is what a dump keeps, and by `relation` after it has been renamed. `suspended`
-- counts how often the cache has been unregistered since: the rows at 0 are in force,
-- and those at 1 are in force again when the last unregistration is reverted.
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

-- The installed apps. `history` is the place of the app's history table, quoted as in
-- SQL. The migrations of a disabled app are not expected. A kept app was uninstalled,
-- and its tables and its history stayed.
CREATE TABLE bustard.app (
    label   pg_catalog.text COLLATE pg_catalog."C" NOT NULL PRIMARY KEY,
    history pg_catalog.text NOT NULL,
    state   pg_catalog.text NOT NULL CHECK (state OPERATOR(pg_catalog.=) ANY ('{enabled,disabled,kept}'::pg_catalog.text[]))
);

-- The record of each applied migration. `body_checksum` is the checksum of its text
-- without its dependencies, `depends_on` lists the migrations of other apps that it
-- depends on ("forum:1 bans:2"), `required_by` those that it must precede, `revert` is
-- what reverts it, as the text of a migration file, and `irreversible` says why that
-- text alone does not revert it.
CREATE TABLE bustard.migration (
    app           pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
    version       bigint NOT NULL,
    body_checksum pg_catalog.text NOT NULL,
    depends_on    pg_catalog.text NOT NULL,
    required_by   pg_catalog.text NOT NULL,
    revert        pg_catalog.text NOT NULL,
    irreversible  pg_catalog.text,
    PRIMARY KEY (app, version)
);

-- The texts of repeatable migrations that have been installed. Those that were
-- replaced stay, because an older release that brings one of them back must be
-- noticed. `edition` and `definition` belong to Bustard's own functions: the release's
-- edition of all of them, and what the catalogue had after the installation (for a
-- function a hash of it), by which a change made by hand is noticed. `depends_on` is what it depends on
-- ("forum:1 forum:R__names"). `revert` is what drops the objects when the app is uninstalled,
-- as the text of a migration file, and `irreversible` says why that text alone does not.
CREATE TABLE bustard.repeatable (
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

-- PUBLIC may read the state of apps and migrations, but not the reverting statements.
-- These run with the rights of the role that uninstalls, so only the owner writes them.
GRANT USAGE ON SCHEMA bustard TO PUBLIC;
GRANT SELECT ON bustard.app TO PUBLIC;
GRANT SELECT (app, version, body_checksum, depends_on, required_by) ON bustard.migration TO PUBLIC;
GRANT SELECT (app, name, checksum, is_current, installed_at, edition, definition, depends_on) ON bustard.repeatable TO PUBLIC;
