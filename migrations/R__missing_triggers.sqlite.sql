-- Shows the tables that differ from their registration: a table whose triggers do not exist
-- ('triggers') or are not the ones that Bustard has written ('edited'), a table that has
-- another name now ('renamed'), or a table that does not exist ('gone'). A run repairs all
-- but the last.
DROP VIEW IF EXISTS main.bustard_missing_triggers;
CREATE VIEW main.bustard_missing_triggers (cache, table_name, why) AS
SELECT c.name, d.table_name, d.why
FROM (
    SELECT l.id, l.table_name, CASE WHEN l.found IS NULL THEN 'gone' ELSE 'renamed' END AS why
    FROM bustard_located AS l WHERE l.found IS NULL OR l.table_name <> l.found
    UNION ALL
    SELECT w.source_id, w.table_name, max(w.state) FROM bustard_wanted_trigger AS w
    WHERE w.state <> 'installed' GROUP BY w.source_id, w.table_name
) AS d
    JOIN bustard_cache_source AS t ON t.source_id = d.id AND t.suspended = 0
    JOIN bustard_cache AS c ON c.id = t.cache_id AND c.active = 1
ORDER BY 1, 2;
