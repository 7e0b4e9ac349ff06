-- The forum's own tables say who may use the plugin.
-- bustard: depends on forum V5
INSERT INTO permissions (user_group, permission) VALUES ('moderators', 'ban');

-- bustard: down
DELETE FROM permissions WHERE permission = 'ban';
