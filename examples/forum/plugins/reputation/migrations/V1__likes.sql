-- bustard: depends on forum V4
CREATE TABLE likes (
    post     bigint NOT NULL REFERENCES posts (id) ON DELETE CASCADE,
    user_id  bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    liked_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (post, user_id)
);

CREATE INDEX likes_user ON likes (user_id);

-- bustard: down
DROP TABLE likes;
