-- Returns a short name for a tracked table, or for a table and a key, which is part of the
-- names of its triggers and their function. It depends on names alone, so that the triggers
-- of a dumped table call the function of the same table in the database where they are
-- restored.
CREATE OR REPLACE FUNCTION bustard.table_key(
    schema_name pg_catalog.text, table_name pg_catalog.text,
    columns pg_catalog.text[] DEFAULT '{}', rule pg_catalog.text DEFAULT ''
) RETURNS pg_catalog.text
LANGUAGE sql STABLE AS $$
    SELECT pg_catalog.encode(pg_catalog.substr(pg_catalog.sha256(
        pg_catalog.convert_to($1, 'UTF8') OPERATOR(pg_catalog.||) E'\\000'::pg_catalog.bytea
        OPERATOR(pg_catalog.||) pg_catalog.convert_to($2, 'UTF8')
        OPERATOR(pg_catalog.||) CASE WHEN $4 OPERATOR(pg_catalog.=) '' THEN ''::pg_catalog.bytea ELSE
            E'\\000'::pg_catalog.bytea OPERATOR(pg_catalog.||) pg_catalog.convert_to($4, 'UTF8')
            OPERATOR(pg_catalog.||) E'\\000'::pg_catalog.bytea
            OPERATOR(pg_catalog.||) pg_catalog.convert_to($3::pg_catalog.text, 'UTF8') END), 1, 8), 'hex')
$$;

REVOKE EXECUTE ON FUNCTION bustard.table_key(pg_catalog.text, pg_catalog.text, pg_catalog.text[], pg_catalog.text) FROM PUBLIC;
