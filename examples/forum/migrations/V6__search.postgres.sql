-- Full text is where the engines have least in common.
ALTER TABLE posts ADD COLUMN words tsvector
    GENERATED ALWAYS AS (to_tsvector('simple', body)) STORED;

CREATE INDEX posts_words ON posts USING gin (words);

-- bustard: down
ALTER TABLE posts DROP COLUMN words;
