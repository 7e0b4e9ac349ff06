-- The settings of administrators. Every page needs some of them, so the application
-- keeps all of them in memory, under the version of a cache.
CREATE TABLE settings (
    name  varchar(60) NOT NULL PRIMARY KEY,
    value varchar(2000) NOT NULL
);

INSERT INTO settings (name, value) VALUES
    ('forum_name', 'Forum'),
    ('posts_per_page', '20'),
    ('registration', 'open');

-- Triggers on the table invalidate the cache, so no other code has to.
-- bustard: register cache settings on settings

-- bustard: down
DROP TABLE settings;
