-- Returns the name of the trigger that invalidates a cache on an event. The name has
-- fewer than 64 bytes, which is the limit of PostgreSQL.
CREATE OR REPLACE FUNCTION bustard.trigger_name(event pg_catalog.text, cache pg_catalog.text) RETURNS pg_catalog.name
LANGUAGE sql IMMUTABLE AS $$
    SELECT pg_catalog.format('bustard_%s_%s', $1, pg_catalog.encode(
        pg_catalog.substr(pg_catalog.sha256(pg_catalog.convert_to($2, 'UTF8')), 1, 8), 'hex'))::pg_catalog.name
$$;

REVOKE EXECUTE ON FUNCTION bustard.trigger_name(pg_catalog.text, pg_catalog.text) FROM PUBLIC;
