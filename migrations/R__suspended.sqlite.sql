-- Unregistering a cache suspends its sources: see bustard_cache_source.
DROP TRIGGER IF EXISTS main.bustard_suspended;
CREATE TRIGGER main.bustard_suspended AFTER UPDATE OF active ON bustard_cache
WHEN old.active = 1 AND new.active = 0
BEGIN
    UPDATE bustard_cache_source SET suspended = suspended + 1 WHERE cache_id = new.id;
END;
