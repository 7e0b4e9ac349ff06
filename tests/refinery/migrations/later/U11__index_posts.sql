CREATE INDEX posts_body ON posts (body);
