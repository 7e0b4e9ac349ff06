-- Returns the number of a cache, and the rule of its keys, which is null if it has none.
-- Raises 42704 for an unknown cache.
CREATE OR REPLACE FUNCTION bustard.cache_key_rule(name pg_catalog.text, OUT id bigint, OUT rule pg_catalog.text) RETURNS record
LANGUAGE plpgsql STABLE AS $$
BEGIN
    SELECT c.id, CASE WHEN c.keyed OPERATOR(pg_catalog.<>) '{}' THEN c.rule END INTO id, rule
    FROM bustard.cache AS c WHERE c.name OPERATOR(pg_catalog.=) $1 AND c.active;
    IF NOT FOUND THEN
        PERFORM bustard.unknown_cache($1);
    END IF;
END
$$;

REVOKE EXECUTE ON FUNCTION bustard.cache_key_rule(pg_catalog.text) FROM PUBLIC;
