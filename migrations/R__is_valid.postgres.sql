-- bustard: depends on bustard R__share
-- bustard: depends on bustard R__get_version

-- Returns whether a value that was stored under this version may still be used.
CREATE OR REPLACE FUNCTION bustard.is_valid(name pg_catalog.text, version bigint) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT COALESCE(bustard.get_version($1) OPERATOR(pg_catalog.=) $2, false)
$$;

SELECT bustard.share('is_valid', 'EXECUTE', 'FUNCTION bustard.is_valid(pg_catalog.text, bigint)');

-- Does the same for a value that was stored under the version of a key.
CREATE OR REPLACE FUNCTION bustard.is_valid(name pg_catalog.text, key pg_catalog.text, version bigint) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT COALESCE(bustard.get_version($1, $2) OPERATOR(pg_catalog.=) $3, false)
$$;

SELECT bustard.share('is_valid', 'EXECUTE', 'FUNCTION bustard.is_valid(pg_catalog.text, pg_catalog.text, bigint)');

CREATE OR REPLACE FUNCTION bustard.is_valid(name pg_catalog.text, key bigint, version bigint) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT COALESCE(bustard.get_version($1, $2) OPERATOR(pg_catalog.=) $3, false)
$$;

SELECT bustard.share('is_valid', 'EXECUTE', 'FUNCTION bustard.is_valid(pg_catalog.text, bigint, bigint)');

CREATE OR REPLACE FUNCTION bustard.is_valid(name pg_catalog.text, key pg_catalog.uuid, version bigint) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT COALESCE(bustard.get_version($1, $2) OPERATOR(pg_catalog.=) $3, false)
$$;

SELECT bustard.share('is_valid', 'EXECUTE', 'FUNCTION bustard.is_valid(pg_catalog.text, pg_catalog.uuid, bigint)');

CREATE OR REPLACE FUNCTION bustard.is_valid(name pg_catalog.text, key pg_catalog.text[], version bigint) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT COALESCE(bustard.get_version($1, $2) OPERATOR(pg_catalog.=) $3, false)
$$;

SELECT bustard.share('is_valid', 'EXECUTE', 'FUNCTION bustard.is_valid(pg_catalog.text, pg_catalog.text[], bigint)');
