-- The registry on SQLite: tracked caches and their versions. A database has one
-- writer at a time, so an invalidation just counts up and draws a new nonce; the
-- events and folds of PostgreSQL are not needed. SQLite has no functions of its
-- own in SQL: the statements that write these tables are in the Rust code.

-- Rows are never deleted, so an id never changes its meaning and `n` never goes
-- back. Row 1 stands for all caches; its name is one that nobody can register.
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

-- Version: the counts of the cache and of "all caches", then 23 bits of the XOR of
-- their nonces. (SQLite has no XOR, but a | b exceeds it by just a & b.)
CREATE VIEW bustard_caches (name, app, version, registered_at) AS
SELECT c.name,
       c.app,
       ((c.n + a.n) << 23) | (((c.nonce | a.nonce) - (c.nonce & a.nonce)) & 8388607),
       c.registered_at
FROM bustard_cache AS c JOIN bustard_cache AS a ON a.id = 1
WHERE c.active = 1;
