-- Users who may log in even if a ban matches.
-- bustard: register cache ban-exceptions
CREATE TABLE ban_exceptions (
    user_id    bigint NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    granted_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP
);

-- bustard: down
DROP TABLE ban_exceptions;
