-- Returns the rule by which these columns of a table make a key: the rules of the columns,
-- separated by commas. Returns null if a column does not exist, or cannot be part of a key.
CREATE OR REPLACE FUNCTION bustard.key_rule(relation pg_catalog.oid, columns pg_catalog.text[]) RETURNS pg_catalog.text
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN pg_catalog.count(r.rule) OPERATOR(pg_catalog.=) pg_catalog.cardinality($2) THEN
        pg_catalog.string_agg(r.rule, ',' ORDER BY r.i) END
    FROM (
        SELECT k.i, CASE
            WHEN a.attgenerated OPERATOR(pg_catalog.=) 'v'::pg_catalog."char" THEN NULL
            WHEN a.atttypid OPERATOR(pg_catalog.=) ANY ('{20,21,23}'::pg_catalog.oid[]) THEN 'int'
            WHEN a.atttypid OPERATOR(pg_catalog.=) 2950::pg_catalog.oid THEN 'uuid'
            WHEN a.atttypid OPERATOR(pg_catalog.=) ANY ('{25,1043}'::pg_catalog.oid[]) AND l.collisdeterministic THEN 'text'
            END AS rule
        FROM pg_catalog.unnest($2) WITH ORDINALITY AS k (name, i)
            JOIN pg_catalog.pg_attribute AS a ON a.attrelid OPERATOR(pg_catalog.=) $1
                AND a.attname OPERATOR(pg_catalog.=) k.name::pg_catalog.name AND a.attnum OPERATOR(pg_catalog.>) 0::pg_catalog.int2
            LEFT JOIN pg_catalog.pg_collation AS l ON l.oid OPERATOR(pg_catalog.=) a.attcollation
    ) AS r
$$;

REVOKE EXECUTE ON FUNCTION bustard.key_rule(pg_catalog.oid, pg_catalog.text[]) FROM PUBLIC;
