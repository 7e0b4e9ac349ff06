-- Returns the ids of the sources of these tables, and adds those that are new. An element is
-- the name of a table, or 'TABLE by COLUMN' or 'TABLE by (COLUMN, ...)'. Names without a
-- schema are found by the `search_path` of the caller. `name` is the cache, for errors.
CREATE OR REPLACE FUNCTION bustard.sources_of(name pg_catalog.text, tables pg_catalog.text[]) RETURNS integer[]
LANGUAGE plpgsql AS $$
DECLARE
    element pg_catalog.text;
    parts   pg_catalog.text[];
    asked   pg_catalog.text;
    key     pg_catalog.text[];
    key_is  pg_catalog.text;
    target  pg_catalog.record;
    what    pg_catalog.text;
    source  integer;
    ids     integer[] := '{}';
BEGIN
    FOREACH element IN ARRAY COALESCE($2, '{}'::pg_catalog.text[]) LOOP
        parts := pg_catalog.regexp_match(element,
            '^[[:space:]]*((?:"(?:[^"]|"")*"|[^[:space:]"(),.]+)(?:[[:space:]]*[.][[:space:]]*(?:"(?:[^"]|"")*"|[^[:space:]"(),.]+))?)[[:space:]]*(?<=[[:space:]"])[bB][yY]((?:[[:space:]]|["(]).*|)$');
        asked := COALESCE(parts[1], element);
        SELECT k.oid, k.relname, k.relkind, k.relpersistence, n.nspname INTO target
        FROM pg_catalog.pg_class AS k
            JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) k.relnamespace
        WHERE k.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(asked)::pg_catalog.oid;
        IF NOT FOUND THEN
            RAISE EXCEPTION USING
                ERRCODE = '42P01',
                MESSAGE = pg_catalog.format('there is no table %s for the cache "%s"', asked, $1),
                HINT = 'Register the cache after the statement that creates the table.';
        END IF;
        what := CASE
            WHEN target.nspname OPERATOR(pg_catalog.=) 'bustard'::pg_catalog.name THEN 'one of Bustard''s own tables'
            WHEN target.nspname OPERATOR(pg_catalog.=) ANY ('{pg_catalog,information_schema,pg_toast}'::pg_catalog.name[]) THEN 'a system catalog'
            WHEN target.relkind OPERATOR(pg_catalog.=) 'v'::pg_catalog."char" THEN 'a view'
            WHEN target.relkind OPERATOR(pg_catalog.=) 'm'::pg_catalog."char" THEN 'a materialized view'
            WHEN target.relkind OPERATOR(pg_catalog.=) 'f'::pg_catalog."char" THEN 'a foreign table'
            WHEN target.relkind OPERATOR(pg_catalog.<>) ALL ('{r,p}'::pg_catalog."char"[]) THEN 'no table'
            WHEN target.relpersistence OPERATOR(pg_catalog.=) 't'::pg_catalog."char" THEN 'a temporary table'
        END;
        IF what IS NOT NULL THEN
            RAISE EXCEPTION USING
                ERRCODE = '42809',
                MESSAGE = pg_catalog.format('%s is %s: writes to it cannot invalidate the cache "%s"', asked, what, $1),
                HINT = 'Name the tables that its contents come from, or call bustard.invalidate() where it is written.';
        END IF;
        key := '{}';
        key_is := '';
        IF parts IS NOT NULL THEN
            key := bustard.key_columns($1, element, parts[2], target.oid);
            key_is := bustard.key_rule(target.oid, key);
            IF pg_catalog.strpos(key_is, 'text') OPERATOR(pg_catalog.>) 0
               AND pg_catalog.getdatabaseencoding() OPERATOR(pg_catalog.<>) 'UTF8'::pg_catalog.name THEN
                RAISE NOTICE 'the encoding of this database is not UTF8, so each write to % invalidates all keys of the cache "%"', asked, $1;
            END IF;
        END IF;
        SELECT s.id INTO source FROM bustard.source AS s
        WHERE s.schema_name OPERATOR(pg_catalog.=) target.nspname::pg_catalog.text
          AND s.table_name OPERATOR(pg_catalog.=) target.relname::pg_catalog.text
          AND s.columns OPERATOR(pg_catalog.=) key AND s.rule OPERATOR(pg_catalog.=) key_is;
        IF NOT FOUND THEN
            source := bustard.next_id();
            INSERT INTO bustard.source (id, schema_name, table_name, columns, rule, relation)
            VALUES (source, target.nspname, target.relname, key, key_is, target.oid);
        END IF;
        IF source OPERATOR(pg_catalog.<>) ALL (ids) THEN
            ids := ids OPERATOR(pg_catalog.||) source;
        END IF;
    END LOOP;

    IF pg_catalog.cardinality(ids) OPERATOR(pg_catalog.>) 0 THEN
        SELECT pg_catalog.format('%I.%I', n.nspname, k.relname) INTO what
        FROM bustard.wanted_triggers(ids) AS w
            JOIN pg_catalog.pg_inherits AS i ON i.inhparent OPERATOR(pg_catalog.=) w.relation
            JOIN pg_catalog.pg_class AS k ON k.oid OPERATOR(pg_catalog.=) i.inhrelid
            JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) k.relnamespace
        WHERE w.below AND k.relkind OPERATOR(pg_catalog.=) 'f'::pg_catalog."char"
        ORDER BY 1 LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION USING
                ERRCODE = '42809',
                MESSAGE = pg_catalog.format('%s is a foreign table below one of these: writes to it cannot invalidate the cache "%s"', what, $1),
                HINT = 'Name those of the partitions that are no foreign tables.';
        END IF;
    END IF;
    RETURN ids;
END
$$;

REVOKE EXECUTE ON FUNCTION bustard.sources_of(pg_catalog.text, pg_catalog.text[]) FROM PUBLIC;
