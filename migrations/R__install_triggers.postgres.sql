-- bustard: depends on bustard R__share

-- Creates missing triggers and drops triggers that are no longer needed. Locks only
-- tables on which a trigger is missing or is dropped. Runs with the rights of the caller,
-- who must be allowed to create triggers on these tables. A role that does not own the
-- registry may call the function as long as no trigger is missing.
CREATE OR REPLACE FUNCTION bustard.install_triggers() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    moved   pg_catalog.record;
    missing pg_catalog.record;
BEGIN
    IF NOT (SELECT pg_catalog.pg_has_role(k.relowner, 'USAGE') FROM pg_catalog.pg_class AS k
            WHERE k.oid OPERATOR(pg_catalog.=) 'bustard.tracked_table'::pg_catalog.regclass::pg_catalog.oid) THEN
        SELECT u.cache, u.relation INTO missing
        FROM bustard.missing_triggers() AS u
        WHERE u.why OPERATOR(pg_catalog.=) ANY ('{triggers,renamed}'::pg_catalog.text[]) LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION USING
                ERRCODE = '42501',
                MESSAGE = pg_catalog.format('the triggers of the cache "%s" are missing on %s, and only the owner of the registry may create them again',
                    missing.cache, missing.relation),
                HINT = 'Migrate as the role that owns the schema "bustard", or as a member of it.';
        END IF;
        RETURN;
    ELSIF NOT EXISTS (SELECT FROM bustard.tracked_table) THEN
        RETURN;
    END IF;
    FOR moved IN
        SELECT l.cache_id, l.schema_name, l.table_name, l.renamed, l.found, n.nspname AS new_schema, k.relname AS new_table
        FROM bustard.located AS l
            JOIN pg_catalog.pg_class AS k ON k.oid OPERATOR(pg_catalog.=) l.found
            JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) k.relnamespace
        WHERE l.renamed OR l.relation OPERATOR(pg_catalog.<>) l.found
    LOOP
        -- The table may have been given the name of another tracked table. One row per
        -- name is enough, so the row of the other table is deleted.
        DELETE FROM bustard.tracked_table AS t
        WHERE moved.renamed
          AND t.suspended OPERATOR(pg_catalog.=) 0
          AND t.cache_id OPERATOR(pg_catalog.=) moved.cache_id
          AND t.schema_name OPERATOR(pg_catalog.=) moved.new_schema::pg_catalog.text
          AND t.table_name OPERATOR(pg_catalog.=) moved.new_table::pg_catalog.text;
        UPDATE bustard.tracked_table AS t
        SET schema_name = moved.new_schema, table_name = moved.new_table, relation = moved.found
        WHERE t.cache_id OPERATOR(pg_catalog.=) moved.cache_id
          AND t.schema_name OPERATOR(pg_catalog.=) moved.schema_name AND t.table_name OPERATOR(pg_catalog.=) moved.table_name;
    END LOOP;

    FOR missing IN
        SELECT w.schema_name, w.table_name, w.name, w.event, w.rows, w.cache
        FROM bustard.wanted_trigger AS w WHERE NOT w.installed
        ORDER BY w.schema_name, w.table_name, w.name
    LOOP
        BEGIN
            EXECUTE pg_catalog.format(
                'CREATE OR REPLACE TRIGGER %I AFTER %s ON %I.%I %s FOR EACH STATEMENT EXECUTE FUNCTION bustard.table_changed(%L)',
                missing.name, missing.event, missing.schema_name, missing.table_name, missing.rows, missing.cache);
        EXCEPTION WHEN insufficient_privilege OR lock_not_available THEN
            RAISE EXCEPTION USING
                ERRCODE = SQLSTATE,
                MESSAGE = pg_catalog.format('the triggers of the cache "%s" cannot be created on %I.%I: %s',
                    missing.cache, missing.schema_name, missing.table_name, SQLERRM),
                HINT = CASE WHEN SQLSTATE OPERATOR(pg_catalog.=) '42501' THEN
                    'Migrate as the owner of the table, or as a role that has TRIGGER on it.' ELSE 'Migrate when no long transaction writes to the table.' END;
        END;
    END LOOP;
    PERFORM bustard.drop_triggers();
END
$$;

SELECT bustard.share('install_triggers', 'EXECUTE', 'FUNCTION bustard.install_triggers()');
