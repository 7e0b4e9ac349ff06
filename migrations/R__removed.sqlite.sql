-- Does for deleted rows what bustard_carried does for suspended rows.
DROP TRIGGER IF EXISTS main.bustard_removed;
CREATE TRIGGER main.bustard_removed AFTER DELETE ON bustard_cache_source
WHEN old.suspended = 0
BEGIN
    UPDATE bustard_cache SET
        carry_n = carry_n + coalesce((SELECT b.n FROM bustard_base AS b WHERE b.cell = old.source_id << 12), 0),
        carry_nonce = (carry_nonce + coalesce((SELECT b.nonce & 281474976710655 FROM bustard_base AS b WHERE b.cell = old.source_id << 12), 0)) & 281474976710655
    WHERE id = old.cache_id;
END;
