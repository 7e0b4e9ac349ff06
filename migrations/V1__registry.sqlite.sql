-- The tables of the registry on SQLite: tracked caches and their versions, the installed
-- apps, and the records of applied migrations. A database has one writer at a time, so an
-- invalidation increments a count and sets a new nonce. The events and folds of PostgreSQL
-- are not necessary. SQLite has no SQL functions, so the statements that write these
-- tables are in the Rust code. Views and triggers are in R__*.sqlite.sql.
--
-- The R__ files are run again whenever their text changes. A view keeps its columns, and
-- a text also works with the tables of an earlier V file. A changed text requires a higher
-- edition: see src/source/own.rs.
--
-- This file runs again where some of these objects are missing: it keeps what is there.

-- A source is what invalidations belong to: all caches (source 1), one cache, or a table.
-- Caches and tables share one space of ids. The invalidations of a source are counted in
-- its cell, which is its id << 12. The other 4095 slots of a source are reserved for parts
-- of it.

-- Registered names. Rows are never deleted, so an id never changes its meaning. Row 1 stands
-- for all caches; its name cannot be registered. A cache is a source of its own. The carry is
-- what the sources that were removed from the cache had come to.
CREATE TABLE IF NOT EXISTS bustard_cache (
    id            INTEGER NOT NULL PRIMARY KEY,
    name          TEXT NOT NULL UNIQUE,
    app           TEXT,
    active        INTEGER NOT NULL DEFAULT 1 CHECK (active IN (0, 1)),
    registered_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    carry_n       INTEGER NOT NULL DEFAULT 0 CHECK (typeof(carry_n) = 'integer' AND carry_n >= 0),
    carry_nonce   INTEGER NOT NULL DEFAULT 0 CHECK (typeof(carry_nonce) = 'integer')
);

INSERT INTO bustard_cache (id, name, active) VALUES (1, '', 0) ON CONFLICT DO NOTHING;

-- The tables whose writes invalidate caches. Rows are never deleted, so an id never changes
-- its meaning. While a registered cache counts the source, its table has three triggers:
-- bustard_{id}_insert, bustard_{id}_update and bustard_{id}_delete.
CREATE TABLE IF NOT EXISTS bustard_source (
    id         INTEGER NOT NULL PRIMARY KEY,
    table_name TEXT NOT NULL UNIQUE COLLATE NOCASE
);

-- The sources that caches count. `suspended` counts how often the cache has been
-- unregistered, or its sources have been changed, since the row was written. Rows with 0 are
-- in force. Rows with 1 are in force again when the last of these is reverted.
CREATE TABLE IF NOT EXISTS bustard_cache_source (
    id        INTEGER NOT NULL PRIMARY KEY,
    cache_id  INTEGER NOT NULL,
    source_id INTEGER NOT NULL,
    suspended INTEGER NOT NULL DEFAULT 0 CHECK (suspended >= 0)
);
CREATE UNIQUE INDEX IF NOT EXISTS bustard_cache_source_now ON bustard_cache_source (cache_id, source_id) WHERE suspended = 0;
CREATE INDEX IF NOT EXISTS bustard_cache_source_source ON bustard_cache_source (source_id);

-- If the rows of the sources are lost, the ids that caches count must not be given to other
-- tables.
INSERT INTO bustard_source (id, table_name)
SELECT DISTINCT t.source_id, 'bustard_lost_' || t.source_id FROM bustard_cache_source AS t WHERE TRUE ON CONFLICT DO NOTHING;

-- The number of invalidations of each cell, with a new nonce at each invalidation.
CREATE TABLE IF NOT EXISTS bustard_base (
    cell  INTEGER NOT NULL PRIMARY KEY,
    n     INTEGER NOT NULL DEFAULT 1 CHECK (typeof(n) = 'integer' AND n >= 1),
    nonce INTEGER NOT NULL DEFAULT (random()) CHECK (typeof(nonce) = 'integer')
);

INSERT INTO bustard_base (cell)
SELECT c.id << 12 FROM bustard_cache AS c UNION SELECT s.id << 12 FROM bustard_source AS s WHERE TRUE ON CONFLICT DO NOTHING;

-- The installed apps. `history` is the name of the app's history table, quoted as in
-- SQL; if `pinned`, it is there wherever the configuration and the search path
-- lead to. The migrations of a disabled app are not expected. A kept app was uninstalled
-- without dropping its tables and its history.
CREATE TABLE IF NOT EXISTS bustard_app (
    label   TEXT NOT NULL PRIMARY KEY,
    history TEXT NOT NULL,
    state   TEXT NOT NULL CHECK (state IN ('enabled', 'disabled', 'kept')),
    pinned  INTEGER NOT NULL DEFAULT 0 CHECK (pinned IN (0, 1))
);

-- The record of each applied migration. `body_checksum` is the checksum of its text
-- without its dependencies. `depends_on` lists the migrations of other apps that it
-- depends on ("forum:1 bans:2"), and `required_by` lists the migrations that it must
-- precede. `revert` is the text of a migration file that reverts the migration. If that
-- text alone does not revert it, `irreversible` is the reason. `applied_on` is
-- the date in the history. It tells that history from another one.
CREATE TABLE IF NOT EXISTS bustard_migration (
    app           TEXT NOT NULL,
    version       INTEGER NOT NULL,
    body_checksum TEXT NOT NULL,
    depends_on    TEXT NOT NULL,
    required_by   TEXT NOT NULL,
    revert        TEXT NOT NULL,
    irreversible  TEXT,
    applied_on    TEXT,
    PRIMARY KEY (app, version)
);

-- The texts of repeatable migrations that have been installed. Replaced texts stay,
-- because Bustard must notice an older release that would install one of them again.
-- `edition` and `definition` are used only for Bustard's own views and triggers. `edition`
-- is the edition of the release that installed them. `definition` is the definition that
-- the catalogue had after the installation, and shows a change that was made by hand.
-- `depends_on` lists dependencies ("forum:1 forum:R__names"). `revert` is the text of a
-- migration file that drops the objects when the app is uninstalled. If that text alone
-- does not drop them, `irreversible` is the reason.
CREATE TABLE IF NOT EXISTS bustard_repeatable (
    app          TEXT NOT NULL,
    name         TEXT NOT NULL,
    checksum     TEXT NOT NULL,
    is_current   INTEGER NOT NULL CHECK (is_current IN (0, 1)),
    installed_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    edition      INTEGER,
    definition   TEXT,
    depends_on   TEXT NOT NULL DEFAULT '',
    revert       TEXT NOT NULL DEFAULT '',
    irreversible TEXT,
    PRIMARY KEY (app, name, checksum)
);

-- The identity of this database. Nothing in a file tells a copy from the original, so a
-- copy keeps it until `bustard repair --new-identity`. There is one row.
CREATE TABLE IF NOT EXISTS bustard_database (
    id       INTEGER NOT NULL PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    identity TEXT NOT NULL DEFAULT (lower(hex(randomblob(16))))
);

INSERT INTO bustard_database (id) VALUES (1) ON CONFLICT DO NOTHING;
