-- Ranks were groups without permissions. If the plugin badges is installed, it has already
-- converted the ranks to badges, because its migration declares that it is required by this
-- migration.
DELETE FROM memberships WHERE user_group LIKE 'rank-%';

-- bustard: down
-- Without the plugin, the ranks of users are lost. With the plugin, reverting the plugin's
-- migration restores the ranks.
