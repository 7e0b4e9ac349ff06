-- Drops triggers that are no longer needed: triggers of caches that are not registered,
-- triggers on tables that were replaced by others, and triggers on tables that are no
-- longer partitions. Such triggers do no harm, so a trigger that cannot be dropped (the
-- table has another owner, or a lock timeout passes) stays. If one table of a cache does
-- not exist, all triggers of the cache stay, because the table may only have another
-- name in this database.
CREATE OR REPLACE FUNCTION bustard.drop_triggers() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    kept     pg_catalog.name[] := ARRAY(
        SELECT bustard.trigger_name(v.event, l.cache)
        FROM bustard.located AS l, pg_catalog.unnest('{insert,update,delete,truncate}'::pg_catalog.text[]) AS v (event)
        WHERE l.found IS NULL);
    unwanted pg_catalog.record;
BEGIN
    FOR unwanted IN
        SELECT n.nspname AS schema_name, k.relname AS table_name, u.name
        FROM (
            SELECT g.tgrelid AS relation, g.tgname AS name
            FROM pg_catalog.pg_trigger AS g
            WHERE g.tgfoid OPERATOR(pg_catalog.=) 'bustard.table_changed()'::pg_catalog.regprocedure::pg_catalog.oid
              AND g.tgname OPERATOR(pg_catalog.<>) ALL (kept)
          EXCEPT
            SELECT w.relation, w.name FROM bustard.wanted_trigger AS w
        ) AS u
            JOIN pg_catalog.pg_class AS k ON k.oid OPERATOR(pg_catalog.=) u.relation
            JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) k.relnamespace
        ORDER BY 1, 2, 3
    LOOP
        BEGIN
            EXECUTE pg_catalog.format('DROP TRIGGER IF EXISTS %I ON %I.%I', unwanted.name, unwanted.schema_name, unwanted.table_name);
        EXCEPTION WHEN insufficient_privilege OR lock_not_available THEN
            NULL;
        END;
    END LOOP;
END
$$;

REVOKE EXECUTE ON FUNCTION bustard.drop_triggers() FROM PUBLIC;
