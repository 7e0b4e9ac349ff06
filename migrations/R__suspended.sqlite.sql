-- Unregistering a cache suspends its tables: see bustard_tracked_table.
DROP TRIGGER IF EXISTS main.bustard_suspended;
CREATE TRIGGER main.bustard_suspended AFTER UPDATE OF active ON bustard_cache
WHEN old.active = 1 AND new.active = 0
BEGIN
    UPDATE bustard_tracked_table SET suspended = suspended + 1 WHERE cache_id = new.id;
END;
