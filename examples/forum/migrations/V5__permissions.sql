-- The permissions of groups in categories; no category means the whole forum.
-- bustard: register cache permissions
CREATE TABLE permissions (
    user_group varchar(40) NOT NULL,
    permission varchar(60) NOT NULL,
    category   varchar(60) NOT NULL DEFAULT '',
    PRIMARY KEY (user_group, permission, category)
);

INSERT INTO permissions (user_group, permission) VALUES
    ('guests', 'read'),
    ('members', 'read'),
    ('members', 'start thread'),
    ('members', 'write post'),
    ('moderators', 'close thread'),
    ('moderators', 'delete post');

CREATE TABLE memberships (
    user_id    bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    user_group varchar(40) NOT NULL,
    PRIMARY KEY (user_id, user_group)
);

-- bustard: down
DROP TABLE memberships;
DROP TABLE permissions;
