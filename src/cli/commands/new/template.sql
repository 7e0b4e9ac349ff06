-- What this migration does, and why.

-- Write SQL below. Bustard runs it in a transaction that also writes the
-- history and invalidates every tracked cache; no BEGIN or COMMIT is needed.
-- Directives are comments of this form, each on a line of its own:
--
--   -- bustard: DIRECTIVE
--
--   depends on APP [VERSION]      that app's migration comes before this one
--   required by APP VERSION       this one comes before that app's migration
--   register cache NAME           start to track a cache; with `on TABLE, …` behind
--                                 it, writes to these tables invalidate it
--   unregister cache NAME         stop to track it
--   down                          what follows undoes this migration

