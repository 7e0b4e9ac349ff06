-- With this index, counting posts is fast enough without a cache. Reverting this
-- migration registers the cache again automatically.
-- bustard: unregister cache top-posters
CREATE INDEX posts_author ON posts (author);

-- bustard: down
DROP INDEX posts_author;
