CREATE TABLE threads (
    id         INTEGER PRIMARY KEY,
    category   varchar(60) NOT NULL REFERENCES categories (slug),
    author     bigint REFERENCES users (id) ON DELETE SET NULL,
    title      varchar(200) NOT NULL,
    started_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE INDEX threads_category ON threads (category, started_at);

CREATE TABLE posts (
    id         INTEGER PRIMARY KEY,
    thread     bigint NOT NULL REFERENCES threads (id) ON DELETE CASCADE,
    author     bigint REFERENCES users (id) ON DELETE SET NULL,
    body       text NOT NULL,
    written_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE INDEX posts_thread ON posts (thread, id);

-- bustard: down
DROP TABLE posts;
DROP TABLE threads;
