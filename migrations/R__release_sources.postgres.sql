-- Notes that a cache no longer counts these sources. Returns whether there are sources among
-- them that no registered cache counts any more: their triggers are no longer needed. Their
-- rows and sums stay, because their ids are never given to others.
CREATE OR REPLACE FUNCTION bustard.release_sources(ids integer[]) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE bustard.source AS s SET active = false
    WHERE s.active AND s.id OPERATOR(pg_catalog.=) ANY ($1)
      AND NOT EXISTS (
          SELECT FROM bustard.cache AS c
          WHERE c.active AND s.id OPERATOR(pg_catalog.=) ANY (c.wide OPERATOR(pg_catalog.||) c.keyed));
    RETURN FOUND;
END
$$;

REVOKE EXECUTE ON FUNCTION bustard.release_sources(integer[]) FROM PUBLIC;
