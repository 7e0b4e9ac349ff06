-- Ranks were groups without permissions. If the plugin badges is installed, it has
-- already converted them to badges, because its migration declares that this one
-- requires it.
DELETE FROM memberships WHERE user_group LIKE 'rank-%';

-- bustard: down
-- Without the plugin, the ranks of users are lost. With it, reverting its migration
-- restores them.
