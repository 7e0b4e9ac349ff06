UPDATE threads SET title = 'Untitled' WHERE trim(title) = '';

ALTER TABLE threads ADD CONSTRAINT threads_title CHECK (trim(title) <> '');

-- bustard: down
ALTER TABLE threads DROP CONSTRAINT threads_title;
