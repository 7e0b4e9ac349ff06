-- What administrators can change. Every page needs some of it, so the
-- application keeps all of it in memory, under the version of this cache.
-- bustard: register cache settings
CREATE TABLE settings (
    name  varchar(60) NOT NULL PRIMARY KEY,
    value varchar(2000) NOT NULL
);

INSERT INTO settings (name, value) VALUES
    ('forum_name', 'Forum'),
    ('posts_per_page', '20'),
    ('registration', 'open');

-- bustard: down
DROP TABLE settings;
