-- A new cache has a count of its own. The count may exist already, if the row of the cache
-- was lost.
DROP TRIGGER IF EXISTS main.bustard_registered;
CREATE TRIGGER main.bustard_registered AFTER INSERT ON bustard_cache
BEGIN
    INSERT INTO bustard_base (cell) VALUES (new.id << 12)
    ON CONFLICT (cell) DO UPDATE SET n = n + 1, nonce = random();
END;
