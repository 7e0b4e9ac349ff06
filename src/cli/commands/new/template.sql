-- What this migration does, and why.

-- Write SQL below. Bustard runs it in a transaction that also writes the
-- history and invalidates all caches. Do not write BEGIN or COMMIT.
-- A directive is a comment on a line of its own: `-- bustard:` and one of these.
--
--   depends on APP [VERSION]      apply that app's migration before this one
--   required by APP VERSION       apply this one before that app's migration
--   register cache NAME           register a cache; with `on TABLE, …` appended,
--                                 writes to these tables invalidate it
--   change cache NAME on TABLE, … change these tables
--   unregister cache NAME         unregister a cache
--   down                          the rest of the file reverts this migration

