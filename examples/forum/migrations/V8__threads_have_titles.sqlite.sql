-- SQLite cannot add a constraint, so this rebuilds the table. Bustard ensures that
-- dropping the old table does not delete its posts.
UPDATE threads SET title = 'Untitled' WHERE trim(title) = '';

CREATE TABLE new_threads (
    id         INTEGER PRIMARY KEY,
    category   varchar(60) NOT NULL REFERENCES categories (slug),
    author     bigint REFERENCES users (id) ON DELETE SET NULL,
    title      varchar(200) NOT NULL CONSTRAINT threads_title CHECK (trim(title) <> ''),
    started_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    closed     boolean NOT NULL DEFAULT false
);
INSERT INTO new_threads SELECT id, category, author, title, started_at, closed FROM threads;
DROP TABLE threads;
ALTER TABLE new_threads RENAME TO threads;
CREATE INDEX threads_category ON threads (category, started_at);

-- bustard: down
CREATE TABLE new_threads (
    id         INTEGER PRIMARY KEY,
    category   varchar(60) NOT NULL REFERENCES categories (slug),
    author     bigint REFERENCES users (id) ON DELETE SET NULL,
    title      varchar(200) NOT NULL,
    started_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    closed     boolean NOT NULL DEFAULT false
);
INSERT INTO new_threads SELECT id, category, author, title, started_at, closed FROM threads;
DROP TABLE threads;
ALTER TABLE new_threads RENAME TO threads;
CREATE INDEX threads_category ON threads (category, started_at);
