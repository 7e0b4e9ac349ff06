-- Shows the versions of all registered caches. The upper bits of a version are the sum of
-- two counts, that of the cache and that of row 1, which stands for all caches. The lower
-- 23 bits are from the XOR of their nonces. (SQLite has no XOR operator, but a XOR b equals
-- (a | b) - (a & b).)
DROP VIEW IF EXISTS main.bustard_caches;
CREATE VIEW main.bustard_caches (name, app, version, registered_at) AS
SELECT c.name,
       c.app,
       ((c.n + a.n) << 23) | (((c.nonce | a.nonce) - (c.nonce & a.nonce)) & 8388607),
       c.registered_at
FROM bustard_cache AS c JOIN bustard_cache AS a ON a.id = 1
WHERE c.active = 1;
