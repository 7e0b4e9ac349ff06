-- Registering a cache again makes all versions obsolete that were read before.
DROP TRIGGER IF EXISTS main.bustard_reactivated;
CREATE TRIGGER main.bustard_reactivated AFTER UPDATE OF active ON bustard_cache
WHEN old.active = 0 AND new.active = 1
BEGIN
    UPDATE bustard_base SET n = n + 1, nonce = random() WHERE cell = new.id << 12;
END;
