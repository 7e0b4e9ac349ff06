-- Version: the counts of the cache and of "all caches", then 23 bits of the XOR of
-- their nonces. (SQLite has no XOR, but a | b exceeds it by just a & b.)
DROP VIEW IF EXISTS main.bustard_caches;
CREATE VIEW main.bustard_caches (name, app, version, registered_at) AS
SELECT c.name,
       c.app,
       ((c.n + a.n) << 23) | (((c.nonce | a.nonce) - (c.nonce & a.nonce)) & 8388607),
       c.registered_at
FROM bustard_cache AS c JOIN bustard_cache AS a ON a.id = 1
WHERE c.active = 1;
