-- bustard: depends on bustard R__share

-- Returns the tables that differ from their registration: a table or partition without its
-- triggers ('triggers'), a table that has another name now ('renamed'), a table that does
-- not exist ('gone'), or a foreign table that is a partition ('foreign').
-- bustard.install_triggers() repairs 'triggers' and 'renamed'.
CREATE OR REPLACE FUNCTION bustard.missing_triggers(OUT cache pg_catalog.text, OUT relation pg_catalog.text, OUT why pg_catalog.text)
RETURNS SETOF record
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM bustard.tracked_table AS t WHERE t.suspended OPERATOR(pg_catalog.=) 0) THEN
        RETURN;
    END IF;
    RETURN QUERY
        SELECT l.cache::pg_catalog.text, pg_catalog.format('%I.%I', l.schema_name, l.table_name),
               CASE WHEN l.renamed THEN 'renamed' ELSE 'gone' END
        FROM bustard.located AS l WHERE l.renamed OR l.found IS NULL
      UNION ALL
        SELECT DISTINCT w.cache::pg_catalog.text, pg_catalog.format('%I.%I', w.schema_name, w.table_name), 'triggers'
        FROM bustard.wanted_trigger AS w WHERE NOT w.installed
      UNION ALL
        SELECT DISTINCT w.cache::pg_catalog.text, pg_catalog.format('%I.%I', n.nspname, k.relname), 'foreign'
        FROM bustard.wanted_trigger AS w
            JOIN pg_catalog.pg_inherits AS i ON i.inhparent OPERATOR(pg_catalog.=) w.relation
            JOIN pg_catalog.pg_class AS k ON k.oid OPERATOR(pg_catalog.=) i.inhrelid
            JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) k.relnamespace
        WHERE w.below AND k.relkind OPERATOR(pg_catalog.=) 'f'::pg_catalog."char"
        ORDER BY 1, 2;
END
$$;

SELECT bustard.share('missing_triggers', 'EXECUTE', 'FUNCTION bustard.missing_triggers()');
