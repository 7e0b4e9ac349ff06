-- The right to use the plugin is a permission in the forum's own table.
-- bustard: depends on forum V5
INSERT INTO permissions (user_group, permission) VALUES ('moderators', 'ban');

-- bustard: down
DELETE FROM permissions WHERE permission = 'ban';
