-- The forum drops its ranks in V9. If V9 was applied before the plugin was installed,
-- there are no ranks, and this migration changes nothing.
-- bustard: depends on forum V5
-- bustard: required by forum V9
INSERT INTO badges (slug, name)
SELECT DISTINCT user_group, 'Rank: ' || substr(user_group, 6)
FROM memberships WHERE user_group LIKE 'rank-%';

INSERT INTO awards (user_id, badge)
SELECT user_id, user_group FROM memberships WHERE user_group LIKE 'rank-%';

-- bustard: down
INSERT INTO memberships (user_id, user_group)
SELECT a.user_id, a.badge FROM awards AS a
WHERE a.badge LIKE 'rank-%' AND NOT EXISTS (
    SELECT 1 FROM memberships AS m WHERE m.user_id = a.user_id AND m.user_group = a.badge
);

DELETE FROM awards WHERE badge LIKE 'rank-%';
DELETE FROM badges WHERE slug LIKE 'rank-%';
