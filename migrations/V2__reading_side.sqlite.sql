-- The reading side on SQLite. Processes look at `PRAGMA data_version` and then at
-- the tables of V1.

-- The tables whose writes invalidate a cache, each by three triggers called
-- bustard_{id}_insert, _update and _delete. `suspended` counts how often the cache
-- has been unregistered since: the rows at 0 hold now, those at 1 are what undoing
-- the last time goes back to.
CREATE TABLE bustard_tracked_table (
    id         INTEGER NOT NULL PRIMARY KEY,
    cache_id   INTEGER NOT NULL,
    table_name TEXT NOT NULL COLLATE NOCASE,
    suspended  INTEGER NOT NULL DEFAULT 0 CHECK (suspended >= 0)
);
CREATE UNIQUE INDEX bustard_tracked_table_now ON bustard_tracked_table (cache_id, table_name) WHERE suspended = 0;

CREATE TRIGGER bustard_suspended AFTER UPDATE OF active ON bustard_cache
WHEN old.active = 1 AND new.active = 0
BEGIN
    UPDATE bustard_tracked_table SET suspended = suspended + 1 WHERE cache_id = new.id;
END;

-- Where the tables of registered caches are now: under the name that they were
-- registered with, or else where their triggers have gone with a table that was
-- renamed; `found` is null where neither is there. (Virtual tables have no pages of
-- their own, and no triggers.)
CREATE VIEW bustard_located (id, cache_id, cache, table_name, found) AS
SELECT t.id, t.cache_id, c.name, t.table_name,
       coalesce(
           (SELECT m.name FROM sqlite_master AS m
            WHERE m.type = 'table' AND m.rootpage > 0 AND t.table_name = m.name),
           (SELECT m.tbl_name FROM sqlite_master AS m
            WHERE m.type = 'trigger' AND m.name = 'bustard_' || t.id || '_insert'))
FROM bustard_tracked_table AS t JOIN bustard_cache AS c ON c.id = t.cache_id
WHERE t.suspended = 0 AND c.active = 1;

-- The triggers that there should be.
CREATE VIEW bustard_wanted_trigger (id, cache_id, cache, table_name, event, name, installed) AS
SELECT l.id, l.cache_id, l.cache, l.found, v.event, 'bustard_' || l.id || '_' || v.event,
       EXISTS (SELECT 1 FROM sqlite_master AS m
               WHERE m.type = 'trigger' AND m.name = 'bustard_' || l.id || '_' || v.event
                 AND m.tbl_name = l.found COLLATE NOCASE)
FROM bustard_located AS l,
     (SELECT 'insert' AS event UNION ALL SELECT 'update' UNION ALL SELECT 'delete') AS v
WHERE l.found IS NOT NULL;

-- What is not as it was registered: a table without its triggers ('triggers'), one
-- that has another name now ('renamed'), or one that is gone ('gone'). A run sets
-- the first two right.
CREATE VIEW bustard_untracked (cache, table_name, why) AS
SELECT l.cache, l.table_name, CASE WHEN l.found IS NULL THEN 'gone' ELSE 'renamed' END
FROM bustard_located AS l WHERE l.found IS NULL OR l.table_name <> l.found
UNION ALL
SELECT DISTINCT w.cache, w.table_name, 'triggers' FROM bustard_wanted_trigger AS w WHERE w.installed = 0
ORDER BY 1, 2;
