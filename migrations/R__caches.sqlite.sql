-- Shows the versions of all registered caches: count << 23 | 23 bits of the nonce. A count
-- that has more than 40 bits has no version.
DROP VIEW IF EXISTS main.bustard_caches;
CREATE VIEW main.bustard_caches (name, app, version, registered_at) AS
SELECT c.name, c.app, CASE WHEN c.n < 1099511627776 THEN (c.n << 23) | (c.nonce & 8388607) END, c.registered_at
FROM bustard_counted AS c;
