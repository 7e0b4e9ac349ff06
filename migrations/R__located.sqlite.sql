-- Shows where the tables of the sources are now that registered caches count. `found` is the
-- table with the recorded name. If no table has this name, `found` is the table that has the
-- triggers, because triggers stay on a table that is renamed. If no table has the triggers
-- either, `found` is null. (Virtual tables are excluded, because they have no pages of their
-- own and no triggers.)
DROP VIEW IF EXISTS main.bustard_located;
CREATE VIEW main.bustard_located (id, table_name, found) AS
SELECT s.id, s.table_name,
       coalesce(
           (SELECT m.name FROM sqlite_master AS m
            WHERE m.type = 'table' AND m.rootpage > 0 AND s.table_name = m.name),
           (SELECT m.tbl_name FROM sqlite_master AS m
            WHERE m.type = 'trigger' AND m.name = 'bustard_' || s.id || '_insert'))
FROM bustard_source AS s
WHERE EXISTS (
    SELECT 1 FROM bustard_cache_source AS t JOIN bustard_cache AS c ON c.id = t.cache_id
    WHERE t.source_id = s.id AND t.suspended = 0 AND c.active = 1);
