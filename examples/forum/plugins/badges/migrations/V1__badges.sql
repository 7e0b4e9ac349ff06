-- bustard: depends on forum V4
-- bustard: register cache badges
-- bustard: register cache top-posters
CREATE TABLE badges (
    slug        varchar(60) NOT NULL PRIMARY KEY,
    name        varchar(120) NOT NULL,
    description varchar(2000) NOT NULL DEFAULT ''
);

CREATE TABLE awards (
    user_id    bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    badge      varchar(60) NOT NULL REFERENCES badges (slug) ON DELETE CASCADE,
    awarded_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (user_id, badge)
);

INSERT INTO badges (slug, name) VALUES ('first-post', 'First post');

-- bustard: down
DROP TABLE awards;
DROP TABLE badges;
