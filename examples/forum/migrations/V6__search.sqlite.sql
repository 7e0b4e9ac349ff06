-- The engines differ most in full-text search.
CREATE VIRTUAL TABLE posts_words USING fts5 (body, content = 'posts', content_rowid = 'id');

INSERT INTO posts_words (rowid, body) SELECT id, body FROM posts;

CREATE TRIGGER posts_words_insert AFTER INSERT ON posts BEGIN
    INSERT INTO posts_words (rowid, body) VALUES (new.id, new.body);
END;

CREATE TRIGGER posts_words_delete AFTER DELETE ON posts BEGIN
    INSERT INTO posts_words (posts_words, rowid, body) VALUES ('delete', old.id, old.body);
END;

CREATE TRIGGER posts_words_update AFTER UPDATE OF body ON posts BEGIN
    INSERT INTO posts_words (posts_words, rowid, body) VALUES ('delete', old.id, old.body);
    INSERT INTO posts_words (rowid, body) VALUES (new.id, new.body);
END;

-- bustard: down
DROP TRIGGER posts_words_update;
DROP TRIGGER posts_words_delete;
DROP TRIGGER posts_words_insert;
DROP TABLE posts_words;
