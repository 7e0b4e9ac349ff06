-- Returns the text of the function that the triggers of a source call. The text contains the
-- cell as a constant, so that a write looks nothing up, costs the same with any number of
-- caches, and is counted even in a snapshot from before the registration. It qualifies every
-- name and operator, because it runs with the settings of the writer. It contains no
-- expression that can fail. A statement that changes no row writes no event.
--
-- A source with a key writes an event for each bucket of the old and new rows. The bucket of
-- an integer is its remainder. Other keys are hashed: the first four bytes of SHA-256 of the
-- UTF-8 text, or of the texts joined by the byte 1F. NULL counts as 0, or as the byte 0.
-- (bustard.key_bucket() computes the same.) More than 5000 old or new rows, or more than 64
-- buckets, are one event of the whole source. So is a write to a relation whose key columns
-- do not exist or have another type any more, and so are all writes with text keys where the
-- encoding is not UTF8.
--
-- Where a key column does not exist, its name leads to a column of `d`, which has the type
-- boolean. So the statement can always be planned, and the types of the values say what the
-- relation is now. (The catalogue does not say it in a transaction with an old snapshot.)
-- Statements that change one row have a statement of their own, which takes half the time.
CREATE OR REPLACE FUNCTION bustard.function_body(source integer) RETURNS pg_catalog.text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    cell     bigint := $1::bigint OPERATOR(pg_catalog.<<) 12;
    columns  pg_catalog.text[];
    rules    pg_catalog.text[];
    keyed    boolean;
    names    pg_catalog.text;
    nulls    pg_catalog.text;
    vs       pg_catalog.text;
    typed    pg_catalog.text;
    bucket   pg_catalog.text;
    collated pg_catalog.text;
    physical pg_catalog.text := '';
    branches pg_catalog.text := '';
    event    pg_catalog.record;
BEGIN
    SELECT s.columns, pg_catalog.string_to_array(s.rule, ',') INTO columns, rules
    FROM bustard.source AS s WHERE s.id OPERATOR(pg_catalog.=) $1;
    IF COALESCE(pg_catalog.cardinality(columns), 0) OPERATOR(pg_catalog.=) 0 THEN
        RETURN pg_catalog.format($body$
BEGIN
    IF TG_OP OPERATOR(pg_catalog.=) 'TRUNCATE'::pg_catalog.text THEN
        INSERT INTO bustard.event (cell) VALUES (%1$s);
    ELSE
        INSERT INTO bustard.event (cell) SELECT %1$s WHERE EXISTS (SELECT FROM changed);
    END IF;
    RETURN NULL;
END
$body$, cell);
    END IF;

    keyed := 'text' OPERATOR(pg_catalog.<>) ALL (rules) OR pg_catalog.getdatabaseencoding() OPERATOR(pg_catalog.=) 'UTF8'::pg_catalog.name;
    SELECT pg_catalog.string_agg(pg_catalog.quote_ident(k.name), ', ' ORDER BY k.i),
           pg_catalog.string_agg('NULL::boolean', ', '),
           pg_catalog.string_agg(pg_catalog.format('v%s', k.i), ', ' ORDER BY k.i),
           pg_catalog.string_agg(pg_catalog.format('pg_catalog.pg_typeof(k.v%s)::pg_catalog.oid OPERATOR(pg_catalog.=) ANY (''%s''::pg_catalog.oid[])',
               k.i, t.types), ' AND ' ORDER BY k.i),
           pg_catalog.string_agg(pg_catalog.format(
               'COALESCE((SELECT l.collisdeterministic FROM pg_catalog.pg_collation AS l WHERE l.oid OPERATOR(pg_catalog.=) ('
               'SELECT CASE WHEN pg_catalog.pg_typeof(k.v%s)::pg_catalog.oid OPERATOR(pg_catalog.=) ANY (''%s''::pg_catalog.oid[]) '
               'THEN pg_catalog.pg_collation_for(k.v%s)::pg_catalog.regcollation::pg_catalog.oid END %%s LIMIT 1)), false)',
               k.i, t.types, k.i), ' AND ' ORDER BY k.i) FILTER (WHERE k.rule OPERATOR(pg_catalog.=) 'text'),
           CASE WHEN rules OPERATOR(pg_catalog.=) '{int}'::pg_catalog.text[] THEN
               '((COALESCE(k.v1::pg_catalog.text::bigint, 0::bigint) OPERATOR(pg_catalog.%) 4093::bigint) '
               'OPERATOR(pg_catalog.+) 4093::bigint) OPERATOR(pg_catalog.%) 4093::bigint'
           ELSE pg_catalog.format('(''x'' OPERATOR(pg_catalog.||) pg_catalog.encode(pg_catalog.substr(pg_catalog.sha256(%s), 1, 4), ''hex''))'
               '::pg_catalog.bit(32)::bigint OPERATOR(pg_catalog.%%) 4093::bigint', pg_catalog.string_agg(pg_catalog.format(
                   E'COALESCE(pg_catalog.convert_to(k.v%s::pg_catalog.text, ''UTF8''), E''\\\\000''::pg_catalog.bytea)', k.i),
                   E' OPERATOR(pg_catalog.||) E''\\\\037''::pg_catalog.bytea OPERATOR(pg_catalog.||) ' ORDER BY k.i)) END
    INTO names, nulls, vs, typed, collated, bucket
    FROM ROWS FROM (pg_catalog.unnest(columns), pg_catalog.unnest(rules)) WITH ORDINALITY AS k (name, rule, i)
        CROSS JOIN LATERAL (SELECT CASE WHEN k.rule OPERATOR(pg_catalog.=) 'int' THEN '{20,21,23}'
            WHEN k.rule OPERATOR(pg_catalog.=) 'uuid' THEN '{2950}' ELSE '{25,1043}' END AS types) AS t;
    IF pg_catalog.current_setting('server_version_num')::integer OPERATOR(pg_catalog.>=) 180000 THEN
        -- The rows of a statement do not have the values of virtual columns.
        SELECT pg_catalog.format(' AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute AS a WHERE a.attrelid OPERATOR(pg_catalog.=) TG_RELID '
            'AND a.attgenerated OPERATOR(pg_catalog.=) ''v''::pg_catalog."char" AND a.attname OPERATOR(pg_catalog.=) ANY (ARRAY[%s]::pg_catalog.name[]))',
            pg_catalog.string_agg(pg_catalog.quote_literal(k.name), ', ' ORDER BY k.i)) INTO physical
        FROM pg_catalog.unnest(columns) WITH ORDINALITY AS k (name, i);
    END IF;

    FOR event IN
        SELECT o.op, o.any_row, p.one, p.all_parts, p.many
        FROM (VALUES
            ('INSERT', '{new_rows}'::pg_catalog.text[], 'EXISTS (SELECT FROM new_rows)'),
            ('UPDATE', '{old_rows,new_rows}', 'EXISTS (SELECT FROM old_rows) OR EXISTS (SELECT FROM new_rows)'),
            ('DELETE', '{old_rows}', 'EXISTS (SELECT FROM old_rows)')
        ) AS o (op, tables, any_row)
            CROSS JOIN LATERAL (
                SELECT
                    pg_catalog.string_agg(pg_catalog.format('SELECT %s %s WHERE %s%s', w.bucket, w.rows, w.good,
                        (SELECT pg_catalog.string_agg(pg_catalog.format(' AND NOT EXISTS (SELECT FROM %s OFFSET 1)', e.name), '')
                         FROM pg_catalog.unnest(o.tables) AS e (name))), ' UNION ' ORDER BY t.i) AS one,
                    pg_catalog.string_agg(pg_catalog.format('(SELECT CASE WHEN %s THEN %s END, %s %s LIMIT 5001)',
                        w.good, w.bucket, t.i, w.rows), ' UNION ALL ' ORDER BY t.i) AS all_parts,
                    pg_catalog.string_agg(pg_catalog.format('pg_catalog.count(*) FILTER (WHERE c.part OPERATOR(pg_catalog.=) %s) OPERATOR(pg_catalog.>) 5000',
                        t.i), ' OR ' ORDER BY t.i) AS many
                FROM pg_catalog.unnest(o.tables) WITH ORDINALITY AS t (name, i)
                    CROSS JOIN LATERAL (
                        SELECT pg_catalog.format('FROM (VALUES (%s)) AS d (%s) CROSS JOIN %s AS r '
                            'CROSS JOIN LATERAL (SELECT %s FROM (SELECT r.*) AS i) AS k (%s)', nulls, names, t.name, names, vs) AS rows,
                            pg_catalog.format('%s OPERATOR(pg_catalog.+) (%s)', cell OPERATOR(pg_catalog.+) 2, bucket) AS bucket
                    ) AS f
                    CROSS JOIN LATERAL (
                        SELECT f.rows, f.bucket, pg_catalog.concat(typed, physical,
                            ' AND ' OPERATOR(pg_catalog.||) pg_catalog.replace(collated, '%s', f.rows)) AS good
                    ) AS w
            ) AS p
    LOOP
        branches := pg_catalog.concat(branches, pg_catalog.format($branch$
    ELSIF TG_OP OPERATOR(pg_catalog.=) '%s'::pg_catalog.text THEN$branch$, event.op), CASE WHEN keyed THEN pg_catalog.format($branch$
        INSERT INTO bustard.event (cell) %s;
        IF NOT FOUND AND (%s) THEN
            INSERT INTO bustard.event (cell)
            SELECT u.cell FROM (
                SELECT CASE WHEN %s OR pg_catalog.bool_or(c.cell IS NULL)
                        OR pg_catalog.cardinality(pg_catalog.array_agg(DISTINCT c.cell)) OPERATOR(pg_catalog.>) 64
                    THEN ARRAY[%s::bigint] ELSE pg_catalog.array_agg(DISTINCT c.cell) END AS cells
                FROM (%s) AS c (cell, part)
            ) AS s CROSS JOIN LATERAL pg_catalog.unnest(s.cells) AS u (cell);
        END IF;$branch$, event.one, event.any_row, event.many, cell, event.all_parts) ELSE pg_catalog.format($branch$
        INSERT INTO bustard.event (cell) SELECT %s WHERE %s;$branch$, cell, event.any_row) END);
    END LOOP;
    RETURN pg_catalog.format($body$
BEGIN
    IF TG_OP OPERATOR(pg_catalog.=) 'TRUNCATE'::pg_catalog.text THEN
        INSERT INTO bustard.event (cell) VALUES (%s);%s
    END IF;
    RETURN NULL;
END
$body$, cell, branches);
END
$$;

REVOKE EXECUTE ON FUNCTION bustard.function_body(integer) FROM PUBLIC;
