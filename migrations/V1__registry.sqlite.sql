-- The tables of the registry on SQLite: tracked caches and their versions, the
-- installed apps and the records of what has been applied. A database has one writer at
-- a time, so an invalidation counts up and draws a new nonce; the events and folds of
-- PostgreSQL are not needed. SQLite has no SQL functions: the statements that write
-- these tables are in the Rust code, and views and triggers are in R__*.sqlite.sql.
--
-- Those files are run again whenever their text changes. A view keeps its columns, and
-- a text works with the tables of an earlier V as well. A changed text needs a higher
-- edition: see src/source/own.rs.

-- Rows are never deleted, so an id never changes its meaning and `n` never goes
-- back. Row 1 stands for all caches; its name cannot be registered.
CREATE TABLE bustard_cache (
    id            INTEGER NOT NULL PRIMARY KEY,
    name          TEXT NOT NULL UNIQUE,
    app           TEXT,
    active        INTEGER NOT NULL DEFAULT 1 CHECK (active IN (0, 1)),
    registered_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    n             INTEGER NOT NULL DEFAULT 1,
    nonce         INTEGER NOT NULL DEFAULT (random()),
    -- A version has room for 40 bits of count, a sum of two of these.
    CONSTRAINT cache_version_overflow CHECK (typeof(n) = 'integer' AND n BETWEEN 1 AND 549755813887),
    CHECK (typeof(nonce) = 'integer')
);

INSERT INTO bustard_cache (id, name, active) VALUES (1, '', 0);

-- The tables whose writes invalidate a cache, each by three triggers called
-- bustard_{id}_insert, _update and _delete. `suspended` counts how often the cache
-- has been unregistered since: the rows at 0 are in force, and those at 1 are in force
-- again when the last unregistration is reverted.
CREATE TABLE bustard_tracked_table (
    id         INTEGER NOT NULL PRIMARY KEY,
    cache_id   INTEGER NOT NULL,
    table_name TEXT NOT NULL COLLATE NOCASE,
    suspended  INTEGER NOT NULL DEFAULT 0 CHECK (suspended >= 0)
);
CREATE UNIQUE INDEX bustard_tracked_table_now ON bustard_tracked_table (cache_id, table_name) WHERE suspended = 0;

-- The installed apps. `history` is the place of the app's history table, quoted as in
-- SQL. The migrations of a disabled app are not expected. A kept app was uninstalled,
-- and its tables and its history stayed.
CREATE TABLE bustard_app (
    label   TEXT NOT NULL PRIMARY KEY,
    history TEXT NOT NULL,
    state   TEXT NOT NULL CHECK (state IN ('enabled', 'disabled', 'kept'))
);

-- The record of each applied migration. `body_checksum` is the checksum of its text
-- without its dependencies, `depends_on` lists the migrations of other apps that it
-- depends on ("forum:1 bans:2"), `required_by` those that it must precede, `revert` is
-- what reverts it, as the text of a migration file, and `irreversible` says why that
-- text alone does not revert it.
CREATE TABLE bustard_migration (
    app           TEXT NOT NULL,
    version       INTEGER NOT NULL,
    body_checksum TEXT NOT NULL,
    depends_on    TEXT NOT NULL,
    required_by   TEXT NOT NULL,
    revert        TEXT NOT NULL,
    irreversible  TEXT,
    PRIMARY KEY (app, version)
);

-- The texts of repeatable migrations that have been installed. Those that were
-- replaced stay, because an older release that brings one of them back must be
-- noticed. `edition` and `definition` belong to Bustard's own views: the release's
-- edition of all of them, and what the catalogue had after the installation, by which
-- a change made by hand is noticed. `depends_on` is what it depends on
-- ("forum:1 forum:R__names"). `revert` is what drops the objects when the app is uninstalled,
-- as the text of a migration file, and `irreversible` says why that text alone does not.
CREATE TABLE bustard_repeatable (
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
