-- Shows the triggers that tracked tables need, with their SQL, and the state of each:
-- 'installed', 'triggers' (it does not exist), or 'edited' (it is not the one that Bustard
-- has written). A write to a table costs the same with any number of caches.
DROP VIEW IF EXISTS main.bustard_wanted_trigger;
CREATE VIEW main.bustard_wanted_trigger (source_id, table_name, name, body, state) AS
SELECT w.id, w.found, w.name, w.body,
       CASE WHEN m.name IS NULL OR m.tbl_name <> w.found COLLATE NOCASE THEN 'triggers'
            WHEN m.sql = 'CREATE TRIGGER ' || w.name || w.body THEN 'installed'
            ELSE 'edited' END
FROM (
    SELECT l.id, l.found, 'bustard_' || l.id || '_' || v.event AS name,
           ' AFTER ' || v.event || ' ON "' || replace(l.found, '"', '""') || '" BEGIN '
           || 'UPDATE bustard_base SET n = n + 1, nonce = random() WHERE cell = ' || (l.id << 12) || '; END' AS body
    FROM bustard_located AS l,
         (SELECT 'insert' AS event UNION ALL SELECT 'update' UNION ALL SELECT 'delete') AS v
    WHERE l.found IS NOT NULL
) AS w LEFT JOIN sqlite_master AS m ON m.type = 'trigger' AND m.name = w.name;
