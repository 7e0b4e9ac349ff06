-- bustard: depends on bustard R__share

-- Puts missing and edited triggers right, records the new names of renamed tables, and drops
-- triggers that are no longer needed. Locks only tables on which a trigger is created or
-- dropped. Runs with the rights of the caller, who must be allowed to create triggers on
-- these tables. A role that does not own the registry may call the function as long as no
-- trigger is missing.
CREATE OR REPLACE FUNCTION bustard.install_triggers() RETURNS void
LANGUAGE plpgsql SET jit = off AS $$
DECLARE
    moved   pg_catalog.record;
    missing pg_catalog.record;
    target  integer;
    cache   integer;
BEGIN
    IF NOT (SELECT pg_catalog.pg_has_role(k.relowner, 'USAGE') FROM pg_catalog.pg_class AS k
            WHERE k.oid OPERATOR(pg_catalog.=) 'bustard.source'::pg_catalog.regclass::pg_catalog.oid) THEN
        SELECT u.cache, u.relation INTO missing
        FROM bustard.missing_triggers() AS u
        WHERE u.why OPERATOR(pg_catalog.<>) ALL ('{gone,foreign,keys}'::pg_catalog.text[]) LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION USING
                ERRCODE = '42501',
                MESSAGE = pg_catalog.format('the triggers of the cache "%s" are missing on %s, and only the owner of the registry may create them again',
                    missing.cache, missing.relation),
                HINT = 'Migrate as the role that owns the schema "bustard", or as a member of it.';
        END IF;
        RETURN;
    ELSIF NOT EXISTS (SELECT FROM bustard.source) THEN
        RETURN;
    END IF;
    FOR moved IN
        SELECT l.id, l.columns, l.rule, l.renamed, l.found, n.nspname::pg_catalog.text AS new_schema, k.relname::pg_catalog.text AS new_table
        FROM bustard.located AS l
            JOIN pg_catalog.pg_class AS k ON k.oid OPERATOR(pg_catalog.=) l.found
            JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) k.relnamespace
        WHERE l.active AND (l.renamed OR l.relation OPERATOR(pg_catalog.<>) l.found)
        ORDER BY l.id
    LOOP
        target := moved.id;
        IF moved.renamed THEN
            -- The table may have been given the name of another source. A name has one
            -- source, so the caches of the table count that one from now on.
            SELECT s.id INTO target FROM bustard.source AS s
            WHERE s.schema_name OPERATOR(pg_catalog.=) moved.new_schema AND s.table_name OPERATOR(pg_catalog.=) moved.new_table
              AND s.columns OPERATOR(pg_catalog.=) moved.columns AND s.rule OPERATOR(pg_catalog.=) moved.rule;
            target := COALESCE(target, moved.id);
        END IF;
        UPDATE bustard.source AS s
        SET schema_name = moved.new_schema, table_name = moved.new_table, relation = moved.found
        WHERE s.id OPERATOR(pg_catalog.=) target;
        IF target OPERATOR(pg_catalog.<>) moved.id THEN
            PERFORM bustard.begin_registering();
            FOR cache IN
                SELECT c.id FROM bustard.cache AS c
                WHERE c.active AND moved.id OPERATOR(pg_catalog.=) ANY (c.wide OPERATOR(pg_catalog.||) c.keyed) ORDER BY c.id
            LOOP
                INSERT INTO bustard.event (cell) VALUES (cache::bigint OPERATOR(pg_catalog.<<) 12);
                PERFORM bustard.set_sources(cache, ARRAY(
                    SELECT DISTINCT CASE WHEN i.id OPERATOR(pg_catalog.=) moved.id THEN target ELSE i.id END
                    FROM bustard.cache AS c CROSS JOIN LATERAL pg_catalog.unnest(c.wide OPERATOR(pg_catalog.||) c.keyed) AS i (id)
                    WHERE c.id OPERATOR(pg_catalog.=) cache));
            END LOOP;
        END IF;
    END LOOP;
    PERFORM bustard.install_sources(NULL);
    PERFORM bustard.drop_triggers();
END
$$;

SELECT bustard.share('install_triggers', 'EXECUTE', 'FUNCTION bustard.install_triggers()');
