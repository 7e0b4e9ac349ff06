-- The users of the forum. Each engine has its own syntax for automatic ids.
CREATE TABLE users (
    id            INTEGER PRIMARY KEY,
    name          varchar(40) NOT NULL,
    email         varchar(255) NOT NULL,
    password_hash varchar(255) NOT NULL,
    joined_at     timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP
);

-- User names are not case-sensitive.
CREATE UNIQUE INDEX users_name ON users (lower(name));
CREATE UNIQUE INDEX users_email ON users (lower(email));

-- bustard: down
DROP TABLE users;
