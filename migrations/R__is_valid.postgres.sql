-- bustard: depends on bustard R__share
-- bustard: depends on bustard R__get_version

-- Returns whether a value that was stored under this version may still be used.
CREATE OR REPLACE FUNCTION bustard.is_valid(name pg_catalog.text, version bigint) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT COALESCE(bustard.get_version($1) OPERATOR(pg_catalog.=) $2, false)
$$;

SELECT bustard.share('is_valid', 'EXECUTE', 'FUNCTION bustard.is_valid(pg_catalog.text, bigint)');
