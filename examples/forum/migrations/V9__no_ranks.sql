-- Ranks were groups that gave no rights. Where the plugin badges is installed, it
-- has made badges of them by now: its own migration says that it is required by
-- this one.
DELETE FROM memberships WHERE user_group LIKE 'rank-%';

-- bustard: down
-- Without the plugin nobody knows any more who had which rank; with it, undoing
-- its migration brings them back.
