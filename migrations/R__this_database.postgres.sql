-- bustard: depends on bustard R__share

-- Returns the recorded identity of this database, and where the database is now: the system
-- identifier of the cluster and the OID of the database. `is_copy` says that one of the two
-- is not the recorded one. What the owner of this function may not read is null, and does
-- not count as a difference.
CREATE OR REPLACE FUNCTION bustard.this_database(
    OUT identity pg_catalog.uuid, OUT system_identifier bigint, OUT oid pg_catalog.oid, OUT is_copy boolean
) RETURNS record
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
BEGIN
    SELECT d.oid INTO oid FROM pg_catalog.pg_database AS d
    WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database();
    BEGIN
        SELECT c.system_identifier INTO system_identifier FROM pg_catalog.pg_control_system() AS c;
    EXCEPTION WHEN OTHERS THEN
        system_identifier := NULL;
    END;
    is_copy := false;
    -- The next run creates a table that is missing.
    IF pg_catalog.to_regclass('bustard.database') IS NULL THEN
        RETURN;
    END IF;
    SELECT r.identity, COALESCE(r.system_identifier OPERATOR(pg_catalog.<>) this_database.system_identifier, false)
                       OR COALESCE(r.oid OPERATOR(pg_catalog.<>) this_database.oid, false)
    INTO identity, is_copy
    FROM bustard.database AS r;
    is_copy := COALESCE(is_copy, false);
END
$$;

SELECT bustard.share('this_database', 'EXECUTE', 'FUNCTION bustard.this_database()');
