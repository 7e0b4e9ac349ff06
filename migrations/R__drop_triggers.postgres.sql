-- Drops triggers that are no longer needed, and then their functions: triggers of sources
-- that no registered cache counts, triggers on tables that were replaced by others, and
-- triggers on tables that are no longer partitions. Such triggers do no harm, so a trigger
-- that cannot be dropped (the table has another owner, or a lock timeout passes) stays. If
-- the table of a source does not exist, all triggers of the source stay, because the table
-- may only have another name in this database.
CREATE OR REPLACE FUNCTION bustard.drop_triggers() RETURNS void
LANGUAGE plpgsql SET jit = off AS $$
DECLARE
    kept     pg_catalog.name[] := ARRAY(
        SELECT bustard.trigger_name(v.event, l.schema_name, l.table_name, l.columns, l.rule)
        FROM bustard.located AS l, pg_catalog.unnest('{insert,update,delete,truncate}'::pg_catalog.text[]) AS v (event)
        WHERE l.active AND l.found IS NULL);
    unwanted pg_catalog.record;
BEGIN
    FOR unwanted IN
        SELECT n.nspname AS schema_name, k.relname AS table_name, u.name
        FROM (
            SELECT g.tgrelid AS relation, g.tgname AS name
            FROM pg_catalog.pg_trigger AS g
                JOIN pg_catalog.pg_proc AS p ON p.oid OPERATOR(pg_catalog.=) g.tgfoid
            WHERE p.pronamespace OPERATOR(pg_catalog.=) 'bustard'::pg_catalog.regnamespace::pg_catalog.oid
              AND p.proname::pg_catalog.text COLLATE pg_catalog."C" OPERATOR(pg_catalog.~) '^changed_[0-9a-f]{16}$'
              AND g.tgname OPERATOR(pg_catalog.<>) ALL (kept)
          EXCEPT
            SELECT w.relation, w.name FROM bustard.wanted_triggers(NULL) AS w
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

    FOR unwanted IN
        SELECT p.proname AS name FROM pg_catalog.pg_proc AS p
        WHERE p.pronamespace OPERATOR(pg_catalog.=) 'bustard'::pg_catalog.regnamespace::pg_catalog.oid
          AND p.proname::pg_catalog.text COLLATE pg_catalog."C" OPERATOR(pg_catalog.~) '^changed_[0-9a-f]{16}$'
          AND p.pronargs OPERATOR(pg_catalog.=) 0::pg_catalog.int2
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger AS g WHERE g.tgfoid OPERATOR(pg_catalog.=) p.oid)
          AND p.proname OPERATOR(pg_catalog.<>) ALL (ARRAY(
              SELECT bustard.function_name(s.schema_name, s.table_name, s.columns, s.rule) FROM bustard.source AS s WHERE s.active))
    LOOP
        BEGIN
            EXECUTE pg_catalog.format('DROP ROUTINE IF EXISTS bustard.%I()', unwanted.name);
        EXCEPTION WHEN insufficient_privilege OR lock_not_available OR dependent_objects_still_exist THEN
            NULL;
        END;
    END LOOP;
END
$$;

REVOKE EXECUTE ON FUNCTION bustard.drop_triggers() FROM PUBLIC;
