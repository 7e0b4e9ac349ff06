-- The engines differ most in full-text search.
ALTER TABLE posts ADD COLUMN words tsvector
    GENERATED ALWAYS AS (to_tsvector('simple', body)) STORED;

CREATE INDEX posts_words ON posts USING gin (words);

-- bustard: down
ALTER TABLE posts DROP COLUMN words;
