-- Shows the tables that differ from their registration: a table without its triggers
-- ('triggers'), a table that has another name now ('renamed'), or a table that does not
-- exist ('gone'). A run repairs the first two.
DROP VIEW IF EXISTS main.bustard_missing_triggers;
CREATE VIEW main.bustard_missing_triggers (cache, table_name, why) AS
SELECT l.cache, l.table_name, CASE WHEN l.found IS NULL THEN 'gone' ELSE 'renamed' END
FROM bustard_located AS l WHERE l.found IS NULL OR l.table_name <> l.found
UNION ALL
SELECT DISTINCT w.cache, w.table_name, 'triggers' FROM bustard_wanted_trigger AS w WHERE w.installed = 0
ORDER BY 1, 2;
