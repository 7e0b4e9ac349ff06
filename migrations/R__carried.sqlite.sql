-- A source that a cache no longer counts goes on counting as what it has come to, in the
-- cache's carry, so that versions never go back.
DROP TRIGGER IF EXISTS main.bustard_carried;
CREATE TRIGGER main.bustard_carried AFTER UPDATE ON bustard_cache_source
WHEN old.suspended = 0 AND (new.suspended <> 0 OR new.source_id <> old.source_id)
BEGIN
    UPDATE bustard_cache SET
        carry_n = carry_n + coalesce((SELECT b.n FROM bustard_base AS b WHERE b.cell = old.source_id << 12), 0),
        carry_nonce = (carry_nonce + coalesce((SELECT b.nonce & 281474976710655 FROM bustard_base AS b WHERE b.cell = old.source_id << 12), 0)) & 281474976710655
    WHERE id = old.cache_id;
END;
