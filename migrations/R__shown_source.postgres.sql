-- Returns a tracked table, and the columns of a key, as `register cache` names them.
CREATE OR REPLACE FUNCTION bustard.shown_source(
    schema_name pg_catalog.text, table_name pg_catalog.text, columns pg_catalog.text[]
) RETURNS pg_catalog.text
LANGUAGE sql STABLE AS $$
    SELECT pg_catalog.concat(pg_catalog.format('%I.%I', $1, $2),
        CASE WHEN pg_catalog.cardinality($3) OPERATOR(pg_catalog.=) 1 THEN
                 pg_catalog.format(' by %I', $3[1])
             WHEN pg_catalog.cardinality($3) OPERATOR(pg_catalog.>) 1 THEN
                 pg_catalog.format(' by (%s)', (
                     SELECT pg_catalog.string_agg(pg_catalog.quote_ident(k.name), ', ' ORDER BY k.i)
                     FROM pg_catalog.unnest($3) WITH ORDINALITY AS k (name, i))) END)
$$;

REVOKE EXECUTE ON FUNCTION bustard.shown_source(pg_catalog.text, pg_catalog.text, pg_catalog.text[]) FROM PUBLIC;
