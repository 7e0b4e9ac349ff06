-- bustard: depends on bustard R__table_key

-- Returns the name of the function that the triggers of a tracked table call. A table and a
-- key have another one.
CREATE OR REPLACE FUNCTION bustard.function_name(
    schema_name pg_catalog.text, table_name pg_catalog.text,
    columns pg_catalog.text[] DEFAULT '{}', rule pg_catalog.text DEFAULT ''
) RETURNS pg_catalog.name
LANGUAGE sql STABLE AS $$
    SELECT pg_catalog.format('changed_%s', bustard.table_key($1, $2, $3, $4))::pg_catalog.name
$$;

REVOKE EXECUTE ON FUNCTION bustard.function_name(pg_catalog.text, pg_catalog.text, pg_catalog.text[], pg_catalog.text) FROM PUBLIC;
