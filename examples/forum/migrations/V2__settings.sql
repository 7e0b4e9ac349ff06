-- What administrators can change. Every page needs some of it, so the
-- application keeps all of it in memory, under the version of a cache.
CREATE TABLE settings (
    name  varchar(60) NOT NULL PRIMARY KEY,
    value varchar(2000) NOT NULL
);

INSERT INTO settings (name, value) VALUES
    ('forum_name', 'Forum'),
    ('posts_per_page', '20'),
    ('registration', 'open');

-- Whoever changes a setting need not know of the cache: the table does.
-- bustard: register cache settings on settings

-- bustard: down
DROP TABLE settings;
