-- The reading side on SQLite. Processes look at `PRAGMA data_version` and then at
-- the tables of V1.

-- The tables whose writes invalidate a cache, each by three triggers called
-- bustard_{id}_insert, _update and _delete. The row of a cache that is unregistered
-- is suspended: it is what undoing that goes back to.
CREATE TABLE bustard_tracked_table (
    id         INTEGER NOT NULL PRIMARY KEY,
    cache_id   INTEGER NOT NULL,
    table_name TEXT NOT NULL COLLATE NOCASE,
    suspended  INTEGER NOT NULL DEFAULT 0 CHECK (suspended IN (0, 1)),
    UNIQUE (cache_id, table_name)
);

CREATE TRIGGER bustard_suspended AFTER UPDATE OF active ON bustard_cache
WHEN old.active = 1 AND new.active = 0
BEGIN
    DELETE FROM bustard_tracked_table WHERE cache_id = new.id AND suspended = 1;
    UPDATE bustard_tracked_table SET suspended = 1 WHERE cache_id = new.id;
END;
