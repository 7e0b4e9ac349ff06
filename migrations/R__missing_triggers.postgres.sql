-- bustard: depends on bustard R__share
-- bustard: depends on bustard R__key_rule
-- bustard: depends on bustard R__shown_source

-- Returns the tables that differ from their registration: a table or partition whose
-- triggers do not exist ('triggers'), are disabled ('disabled'), or are not the ones that
-- Bustard has written, or call another function ('edited'), a table that has another name
-- now ('renamed'), a table that does not exist ('gone'), a foreign table that is a partition
-- ('foreign'), or a table and a key whose columns have been renamed, dropped or changed, so
-- that each write invalidates all keys ('keys'). bustard.install_triggers() repairs all but
-- the last three.
CREATE OR REPLACE FUNCTION bustard.missing_triggers(OUT cache pg_catalog.text, OUT relation pg_catalog.text, OUT why pg_catalog.text)
RETURNS SETOF record
LANGUAGE plpgsql STABLE SECURITY DEFINER SET jit = off AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM bustard.source AS s WHERE s.active) THEN
        RETURN;
    END IF;
    RETURN QUERY
        WITH wanted AS MATERIALIZED (
            SELECT * FROM bustard.wanted_triggers(NULL)
        ), differing AS (
            SELECT l.id, pg_catalog.format('%I.%I', l.schema_name, l.table_name) AS object,
                   CASE WHEN l.renamed THEN 'renamed' ELSE 'gone' END AS reason
            FROM bustard.located AS l WHERE l.active AND (l.renamed OR l.found IS NULL)
          UNION ALL
            SELECT w.source, pg_catalog.format('%I.%I', w.schema_name, w.table_name),
                   CASE WHEN pg_catalog.bool_or(w.state OPERATOR(pg_catalog.=) 'triggers') THEN 'triggers'
                        WHEN pg_catalog.bool_or(w.state OPERATOR(pg_catalog.=) 'disabled') THEN 'disabled'
                        ELSE 'edited' END
            FROM wanted AS w WHERE w.state OPERATOR(pg_catalog.<>) 'installed'
            GROUP BY w.source, w.schema_name, w.table_name
          UNION ALL
            SELECT DISTINCT w.source, pg_catalog.format('%I.%I', n.nspname, k.relname), 'foreign'
            FROM wanted AS w
                JOIN pg_catalog.pg_inherits AS i ON i.inhparent OPERATOR(pg_catalog.=) w.relation
                JOIN pg_catalog.pg_class AS k ON k.oid OPERATOR(pg_catalog.=) i.inhrelid
                JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) k.relnamespace
            WHERE w.below AND k.relkind OPERATOR(pg_catalog.=) 'f'::pg_catalog."char"
          UNION ALL
            SELECT l.id, bustard.shown_source(l.schema_name, l.table_name, l.columns), 'keys'
            FROM bustard.located AS l
            WHERE l.active AND l.rule OPERATOR(pg_catalog.<>) '' AND l.found IS NOT NULL
              AND COALESCE(bustard.key_rule(l.found, l.columns), '') OPERATOR(pg_catalog.<>) l.rule
        )
        SELECT DISTINCT c.name::pg_catalog.text, d.object, d.reason
        FROM differing AS d
            JOIN bustard.cache AS c ON c.active AND d.id OPERATOR(pg_catalog.=) ANY (c.wide OPERATOR(pg_catalog.||) c.keyed)
        ORDER BY 1, 2;
END
$$;

SELECT bustard.share('missing_triggers', 'EXECUTE', 'FUNCTION bustard.missing_triggers()');
