-- bustard: depends on forum V1
-- bustard: register cache bans
CREATE TABLE bans (
    kind      varchar(10) NOT NULL CHECK (kind IN ('name', 'email', 'address')),
    pattern   varchar(255) NOT NULL,
    reason    varchar(2000) NOT NULL DEFAULT '',
    banned_by bigint REFERENCES users (id) ON DELETE SET NULL,
    ends_at   timestamp,
    PRIMARY KEY (kind, pattern)
);

CREATE INDEX bans_banned_by ON bans (banned_by);

-- bustard: down
DROP TABLE bans;
