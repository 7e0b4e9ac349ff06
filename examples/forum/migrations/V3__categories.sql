-- bustard: register cache categories
CREATE TABLE categories (
    slug     varchar(60) NOT NULL PRIMARY KEY,
    name     varchar(120) NOT NULL,
    parent   varchar(60) REFERENCES categories (slug),
    position integer NOT NULL DEFAULT 0
);

CREATE INDEX categories_parent ON categories (parent, position);

INSERT INTO categories (slug, name) VALUES ('general', 'General');

-- bustard: down
DROP TABLE categories;
