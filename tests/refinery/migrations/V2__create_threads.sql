-- Text of more bytes than letters is hashed as bytes: Trappen, łabędź, 大鸨.
CREATE TABLE threads (
    id bigint PRIMARY KEY,
    title text NOT NULL DEFAULT 'a; b -- c'
);
CREATE INDEX threads_title ON threads (title);
