-- Shows the triggers that tracked tables need, and whether each is installed.
DROP VIEW IF EXISTS main.bustard_wanted_trigger;
CREATE VIEW main.bustard_wanted_trigger (id, cache_id, cache, table_name, event, name, installed) AS
SELECT l.id, l.cache_id, l.cache, l.found, v.event, 'bustard_' || l.id || '_' || v.event,
       EXISTS (SELECT 1 FROM sqlite_master AS m
               WHERE m.type = 'trigger' AND m.name = 'bustard_' || l.id || '_' || v.event
                 AND m.tbl_name = l.found COLLATE NOCASE)
FROM bustard_located AS l,
     (SELECT 'insert' AS event UNION ALL SELECT 'update' UNION ALL SELECT 'delete') AS v
WHERE l.found IS NOT NULL;
