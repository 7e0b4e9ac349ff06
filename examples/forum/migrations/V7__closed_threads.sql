-- A setting that the code of this release expects belongs to its schema. Every
-- migration invalidates all caches, so no cached copy of the settings outlives it.
ALTER TABLE threads ADD COLUMN closed boolean NOT NULL DEFAULT false;

INSERT INTO settings (name, value) VALUES ('close_threads_after_days', '365');

-- bustard: down
DELETE FROM settings WHERE name = 'close_threads_after_days';
ALTER TABLE threads DROP COLUMN closed;
