-- Puts the triggers and functions of these sources right, or of all active sources if `ids`
-- is null. If nothing is missing, this locks no table.
--
-- Creating a trigger takes SHARE ROW EXCLUSIVE on the table. A function that has changed has
-- all of its triggers created again, for the sake of that lock: a transaction that ran the
-- old function could otherwise commit later without an event. The event of each source makes
-- the versions obsolete that were read while writes were not counted.
CREATE OR REPLACE FUNCTION bustard.install_sources(ids integer[]) RETURNS void
LANGUAGE plpgsql SET jit = off AS $$
DECLARE
    done    integer[] := '{}';
    missing pg_catalog.record;
    cache   pg_catalog.text;
BEGIN
    FOR missing IN
        SELECT w.source, w.relation, w.schema_name, w.table_name, w.name, w.event, w.rows, w.function
        FROM bustard.wanted_triggers(ids) AS w WHERE w.state OPERATOR(pg_catalog.<>) 'installed'
        ORDER BY w.schema_name, w.table_name, w.name
    LOOP
        IF missing.source OPERATOR(pg_catalog.<>) ALL (done) THEN
            done := done OPERATOR(pg_catalog.||) missing.source;
            PERFORM bustard.write_function(missing.source);
            INSERT INTO bustard.event (cell) VALUES (missing.source::bigint OPERATOR(pg_catalog.<<) 12);
        END IF;
        BEGIN
            EXECUTE pg_catalog.format(
                'CREATE OR REPLACE TRIGGER %I AFTER %s ON %I.%I %s FOR EACH STATEMENT EXECUTE FUNCTION bustard.%I()',
                missing.name, missing.event, missing.schema_name, missing.table_name, missing.rows, missing.function);
            PERFORM FROM pg_catalog.pg_trigger AS g
            WHERE g.tgrelid OPERATOR(pg_catalog.=) missing.relation AND g.tgname OPERATOR(pg_catalog.=) missing.name;
            IF NOT FOUND THEN
                RAISE lock_not_available USING MESSAGE = 'another session has just renamed the table';
            END IF;
        EXCEPTION WHEN insufficient_privilege OR lock_not_available THEN
            SELECT c.name INTO cache FROM bustard.cache AS c
            WHERE c.active AND missing.source OPERATOR(pg_catalog.=) ANY (c.wide OPERATOR(pg_catalog.||) c.keyed)
            ORDER BY c.id LIMIT 1;
            RAISE EXCEPTION USING
                ERRCODE = SQLSTATE,
                MESSAGE = pg_catalog.format('the triggers of the cache "%s" cannot be created on %I.%I: %s',
                    cache, missing.schema_name, missing.table_name, SQLERRM),
                HINT = CASE WHEN SQLSTATE OPERATOR(pg_catalog.=) '42501' THEN
                    'Migrate as the owner of the table, or as a role that has TRIGGER on it.' ELSE 'Migrate when no long transaction writes to the table.' END;
        END;
    END LOOP;
END
$$;

REVOKE EXECUTE ON FUNCTION bustard.install_sources(integer[]) FROM PUBLIC;
