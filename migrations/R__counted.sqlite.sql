-- Shows the complete count and nonce of each registered cache: its carry and the sums of
-- source 1, which stands for all caches, of the cache itself, and of the tables that it is
-- registered on. (SQLite has no XOR, so the nonces are combined as a sum of 48 bits of each.)
DROP VIEW IF EXISTS main.bustard_counted;
CREATE VIEW main.bustard_counted (name, app, registered_at, n, nonce) AS
SELECT c.name,
       c.app,
       c.registered_at,
       c.carry_n + a.n + o.n + (
           SELECT coalesce(sum(b.n), 0)
           FROM bustard_cache_source AS t JOIN bustard_base AS b ON b.cell = t.source_id << 12
           WHERE t.cache_id = c.id AND t.suspended = 0),
       (c.carry_nonce + (a.nonce & 281474976710655) + (o.nonce & 281474976710655) + (
           SELECT coalesce(sum(b.nonce & 281474976710655), 0)
           FROM bustard_cache_source AS t JOIN bustard_base AS b ON b.cell = t.source_id << 12
           WHERE t.cache_id = c.id AND t.suspended = 0)) & 281474976710655
FROM bustard_cache AS c
    JOIN bustard_base AS a ON a.cell = 4096
    JOIN bustard_base AS o ON o.cell = c.id << 12
WHERE c.active = 1;
