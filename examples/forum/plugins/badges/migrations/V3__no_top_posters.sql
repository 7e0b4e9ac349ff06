-- Counting posts is fast enough with this index; nobody caches the answer any
-- more. Undoing this migration registers the cache again by itself.
-- bustard: unregister cache top-posters
CREATE INDEX posts_author ON posts (author);

-- bustard: down
DROP INDEX posts_author;
