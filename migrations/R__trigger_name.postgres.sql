-- bustard: depends on bustard R__table_key

-- Returns the name of the trigger that writes the invalidations of a tracked table, or of a
-- table and a key, on an event.
CREATE OR REPLACE FUNCTION bustard.trigger_name(
    event pg_catalog.text, schema_name pg_catalog.text, table_name pg_catalog.text,
    columns pg_catalog.text[] DEFAULT '{}', rule pg_catalog.text DEFAULT ''
) RETURNS pg_catalog.name
LANGUAGE sql STABLE AS $$
    SELECT pg_catalog.format('bustard_%s_%s', $1, bustard.table_key($2, $3, $4, $5))::pg_catalog.name
$$;

REVOKE EXECUTE ON FUNCTION bustard.trigger_name(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text[], pg_catalog.text) FROM PUBLIC;
