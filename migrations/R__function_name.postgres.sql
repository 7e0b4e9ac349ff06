-- bustard: depends on bustard R__table_key

-- Returns the name of the function that the triggers of a tracked table call.
CREATE OR REPLACE FUNCTION bustard.function_name(schema_name pg_catalog.text, table_name pg_catalog.text)
RETURNS pg_catalog.name
LANGUAGE sql STABLE AS $$
    SELECT pg_catalog.format('changed_%s', bustard.table_key($1, $2))::pg_catalog.name
$$;

REVOKE EXECUTE ON FUNCTION bustard.function_name(pg_catalog.text, pg_catalog.text) FROM PUBLIC;
