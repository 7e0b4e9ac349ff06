-- Raises 42704 for a name that is not registered. The hint suggests the registered name
-- that has the most pairs of letters in common with it. The function compares at most
-- 1000 names of similar length, so that a wrong name costs little.
CREATE OR REPLACE FUNCTION bustard.unknown_cache(name pg_catalog.text) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
    asked   pg_catalog.text := pg_catalog.left($1, 128);
    nearest pg_catalog.text;
    advice  pg_catalog.text;
BEGIN
    IF $1 IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'a cache name must not be null';
    END IF;
    WITH candidate AS (
        SELECT c.name AS text, pg_catalog.length(c.name) AS size
        FROM bustard.cache AS c
        WHERE c.active
          AND pg_catalog.abs(pg_catalog.length(c.name) OPERATOR(pg_catalog.-) pg_catalog.length(asked)) OPERATOR(pg_catalog.<=) 4
        LIMIT 1000
    ), pair AS (
        SELECT DISTINCT pg_catalog.substr(pg_catalog.lower(pg_catalog.concat(' ', asked, ' ')), i.at, 2) AS text
        FROM pg_catalog.generate_series(1, pg_catalog.length(asked) OPERATOR(pg_catalog.+) 1) AS i (at)
    ), scored AS (
        SELECT c.text, c.size, pg_catalog.count(*) AS shared
        FROM candidate AS c, pair AS p
        WHERE pg_catalog.strpos(pg_catalog.lower(pg_catalog.concat(' ', c.text, ' ')), p.text) OPERATOR(pg_catalog.>) 0
        GROUP BY c.text, c.size
    )
    SELECT s.text INTO nearest
    FROM scored AS s
    WHERE (s.shared OPERATOR(pg_catalog.*) 2) OPERATOR(pg_catalog.>=) GREATEST(s.size, pg_catalog.length(asked))
    ORDER BY s.shared DESC, s.size, s.text
    LIMIT 1;

    IF nearest IS NOT NULL THEN
        advice := pg_catalog.format('Did you mean "%s"?', nearest);
    ELSE
        SELECT pg_catalog.concat('Registered caches: ', pg_catalog.string_agg(pg_catalog.left(f.name, 40), ', ' ORDER BY f.name), '.')
        INTO advice
        FROM (SELECT c.name FROM bustard.cache AS c WHERE c.active ORDER BY c.name LIMIT 10) AS f
        HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 0;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = '42704',
        MESSAGE = pg_catalog.format('cache "%s" is not registered', asked),
        HINT = COALESCE(advice, 'No cache is registered. A migration registers one with "-- bustard: register cache NAME".');
END
$$;

REVOKE EXECUTE ON FUNCTION bustard.unknown_cache(pg_catalog.text) FROM PUBLIC;
