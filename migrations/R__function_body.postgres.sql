-- Returns the text of the function that the triggers of a tracked table call. The text
-- contains the cell as a constant, so that a write looks nothing up, costs the same with
-- any number of caches, and is counted even in a snapshot from before the registration. It
-- qualifies every name and operator, because it runs with the settings of the writer. It
-- contains no expression that can fail. A statement that changes no row writes no event.
CREATE OR REPLACE FUNCTION bustard.function_body(source integer) RETURNS pg_catalog.text
LANGUAGE sql STABLE AS $$
    SELECT pg_catalog.format($body$
BEGIN
    IF TG_OP OPERATOR(pg_catalog.=) 'TRUNCATE'::pg_catalog.text THEN
        INSERT INTO bustard.event (cell) VALUES (%1$s);
    ELSE
        INSERT INTO bustard.event (cell) SELECT %1$s WHERE EXISTS (SELECT FROM changed);
    END IF;
    RETURN NULL;
END
$body$, $1::bigint OPERATOR(pg_catalog.<<) 12)
$$;

REVOKE EXECUTE ON FUNCTION bustard.function_body(integer) FROM PUBLIC;
