-- bustard: depends on bustard R__share

-- Returns whether the tables of the registry exist, with the rows that they always have.
-- What is missing makes the next run install the tables again, which keeps what is there.
CREATE OR REPLACE FUNCTION bustard.is_complete() RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    complete boolean;
BEGIN
    IF EXISTS (
        SELECT FROM pg_catalog.unnest('{app,base,cache,database,event,fold,former_sources,migration,repeatable,source}'::pg_catalog.name[]) AS t (name)
        WHERE NOT EXISTS (
            SELECT FROM pg_catalog.pg_class AS k
                JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) k.relnamespace
            WHERE n.nspname OPERATOR(pg_catalog.=) 'bustard'::pg_catalog.name
              AND k.relname OPERATOR(pg_catalog.=) t.name
        )
    ) THEN
        RETURN false;
    END IF;
    SELECT EXISTS (SELECT FROM bustard.cache AS c WHERE c.id OPERATOR(pg_catalog.=) 1)
       AND EXISTS (SELECT FROM bustard.base AS b WHERE b.cell OPERATOR(pg_catalog.=) 0)
       AND EXISTS (SELECT FROM bustard.base AS b WHERE b.cell OPERATOR(pg_catalog.=) 4096)
       AND EXISTS (SELECT FROM bustard.database)
    INTO complete;
    RETURN complete;
END
$$;

SELECT bustard.share('is_complete', 'EXECUTE', 'FUNCTION bustard.is_complete()');
