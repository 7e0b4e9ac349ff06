-- Reads what follows `by`: one column, or 1 to 32 columns in parentheses. Returns the names
-- of the columns as the table has them. Raises an error with advice for what cannot be a key.
-- `asked` is the whole text, and `name` is the cache.
CREATE OR REPLACE FUNCTION bustard.key_columns(
    name pg_catalog.text, asked pg_catalog.text, listed pg_catalog.text, relation pg_catalog.oid
) RETURNS pg_catalog.text[]
LANGUAGE plpgsql AS $$
DECLARE
    inner_text pg_catalog.text := pg_catalog.btrim($3);
    word       pg_catalog.text := '(?:"(?:[^"]|"")+"|[^[:space:]"(),.]+)';
    written    pg_catalog.text;
    target     pg_catalog.record;
    columns    pg_catalog.text[] := '{}';
BEGIN
    IF pg_catalog.left(inner_text, 1) OPERATOR(pg_catalog.=) '(' AND pg_catalog.right(inner_text, 1) OPERATOR(pg_catalog.=) ')' THEN
        inner_text := pg_catalog.btrim(pg_catalog.substr(inner_text, 2, pg_catalog.length(inner_text) OPERATOR(pg_catalog.-) 2));
        word := pg_catalog.concat(word, '(?:[[:space:]]*,[[:space:]]*', word, ')*');
    END IF;
    IF inner_text OPERATOR(pg_catalog.!~) pg_catalog.concat('^', word, '$') THEN
        RAISE EXCEPTION USING
            ERRCODE = '42601',
            MESSAGE = pg_catalog.format('the key of the cache "%s" cannot be read: %s', $1, asked),
            HINT = 'Write TABLE by COLUMN, or TABLE by (COLUMN, ...) with 1 to 32 columns.';
    END IF;
    FOR written IN
        SELECT m.found[1] FROM pg_catalog.regexp_matches(inner_text, '"(?:[^"]|"")+"|[^[:space:]"(),.]+', 'g') AS m (found)
    LOOP
        SELECT a.attname::pg_catalog.text AS name, a.attgenerated, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
               COALESCE(l.collisdeterministic, true) AS deterministic, k.oid::pg_catalog.regclass AS relation,
               bustard.key_rule(k.oid, ARRAY[a.attname::pg_catalog.text]) AS rule
        INTO target
        FROM pg_catalog.pg_class AS k
            JOIN pg_catalog.pg_attribute AS a ON a.attrelid OPERATOR(pg_catalog.=) k.oid
            LEFT JOIN pg_catalog.pg_collation AS l ON l.oid OPERATOR(pg_catalog.=) a.attcollation
        WHERE k.oid OPERATOR(pg_catalog.=) $4 AND a.attnum OPERATOR(pg_catalog.>) 0::pg_catalog.int2 AND NOT a.attisdropped
          AND a.attname OPERATOR(pg_catalog.=) (pg_catalog.parse_ident(written))[1]::pg_catalog.name;
        IF NOT FOUND THEN
            RAISE EXCEPTION USING
                ERRCODE = '42703',
                MESSAGE = pg_catalog.format('there is no column %s in %s for the key of the cache "%s"', written, $4::pg_catalog.regclass, $1),
                HINT = pg_catalog.concat('The table has ', (
                    SELECT pg_catalog.string_agg(pg_catalog.quote_ident(f.attname::pg_catalog.text), ', ' ORDER BY f.attnum)
                    FROM (SELECT a.attname, a.attnum FROM pg_catalog.pg_attribute AS a
                          WHERE a.attrelid OPERATOR(pg_catalog.=) $4 AND a.attnum OPERATOR(pg_catalog.>) 0::pg_catalog.int2
                            AND NOT a.attisdropped ORDER BY a.attnum LIMIT 20) AS f), '.');
        ELSIF target.attgenerated OPERATOR(pg_catalog.=) 'v'::pg_catalog."char" THEN
            RAISE EXCEPTION USING
                ERRCODE = '42804',
                MESSAGE = pg_catalog.format('column %s of %s is virtual, so it cannot be a key of the cache "%s"', written, target.relation, $1),
                HINT = 'Make it a STORED generated column.';
        ELSIF NOT target.deterministic THEN
            RAISE EXCEPTION USING
                ERRCODE = '42804',
                MESSAGE = pg_catalog.format('column %s of %s has a nondeterministic collation, so it cannot be a key of the cache "%s"',
                    written, target.relation, $1),
                HINT = 'Use a column with a deterministic collation, such as a stored generated column: text COLLATE "C" GENERATED ALWAYS AS (lower(...)) STORED.';
        ELSIF target.rule IS NULL THEN
            RAISE EXCEPTION USING
                ERRCODE = '42804',
                MESSAGE = pg_catalog.format('column %s of %s has the type %s, so it cannot be a key of the cache "%s"',
                    written, target.relation, target.type, $1),
                HINT = 'Keys are smallint, integer, bigint, uuid, text and varchar. For other values, add a stored generated column of such a type: text GENERATED ALWAYS AS (...) STORED.';
        ELSIF target.name OPERATOR(pg_catalog.=) ANY (columns) THEN
            RAISE EXCEPTION USING
                ERRCODE = '42701',
                MESSAGE = pg_catalog.format('column %s is twice in the key of the cache "%s"', written, $1),
                HINT = 'Name each column once.';
        END IF;
        columns := columns OPERATOR(pg_catalog.||) target.name;
    END LOOP;
    IF pg_catalog.cardinality(columns) OPERATOR(pg_catalog.>) 32 THEN
        RAISE EXCEPTION USING
            ERRCODE = '54011',
            MESSAGE = pg_catalog.format('the key of the cache "%s" has %s columns', $1, pg_catalog.cardinality(columns)),
            HINT = 'A key has 1 to 32 columns.';
    END IF;
    RETURN columns;
END
$$;

REVOKE EXECUTE ON FUNCTION bustard.key_columns(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.oid) FROM PUBLIC;
