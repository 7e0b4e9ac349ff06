-- Returns the bucket of a key, which the triggers compute for a row with this key. `rule` is
-- the rule of the cache's keys. Each part of the key is first cast to the type of its
-- column, so that a uuid may be written in capitals or in braces.
-- Raises 22P02 if it cannot be cast, and 42809 if the cache has no keys (`rule` is null).
-- Returns null for a text key in a database whose encoding is not UTF8: there, every
-- invalidation of a key invalidates all keys.
CREATE OR REPLACE FUNCTION bustard.key_bucket(name pg_catalog.text, rule pg_catalog.text, key pg_catalog.text[]) RETURNS integer
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    rules pg_catalog.text[] := pg_catalog.string_to_array($2, ',');
    size  integer := COALESCE(pg_catalog.cardinality($3), 0);
    part  pg_catalog.text;
    i     integer := 1;
    bytes pg_catalog.bytea;
    value bigint;
BEGIN
    IF $2 IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = '42809',
            MESSAGE = pg_catalog.format('cache "%s" has no keys', $1),
            HINT = 'A migration registers a cache with keys: "-- bustard: register cache NAME on TABLE by COLUMN".';
    ELSIF size OPERATOR(pg_catalog.<>) pg_catalog.cardinality(rules) THEN
        RAISE EXCEPTION USING
            ERRCODE = '22P02',
            MESSAGE = pg_catalog.format('a key of the cache "%s" has %s, and this one has %s', $1,
                CASE WHEN pg_catalog.cardinality(rules) OPERATOR(pg_catalog.=) 1 THEN 'one value' ELSE pg_catalog.concat(pg_catalog.cardinality(rules), ' values') END, size),
            HINT = pg_catalog.format('Pass %s.', CASE WHEN pg_catalog.cardinality(rules) OPERATOR(pg_catalog.=) 1
                THEN 'one value' ELSE 'an array of text with a value for each column, in the order of the columns' END);
    END IF;
    WHILE i OPERATOR(pg_catalog.<=) size LOOP
        part := $3[i];
        IF rules[i] OPERATOR(pg_catalog.=) 'int' THEN
            IF part COLLATE pg_catalog."C" OPERATOR(pg_catalog.!~) '^[[:space:]]*[-+]?0*[0-9]{1,19}[[:space:]]*$'
               OR part::pg_catalog.numeric OPERATOR(pg_catalog.>) 9223372036854775807::pg_catalog.numeric
               OR part::pg_catalog.numeric OPERATOR(pg_catalog.<) (-9223372036854775808)::pg_catalog.numeric THEN
                RAISE invalid_text_representation USING
                    MESSAGE = pg_catalog.format('%L is not an integer, as the keys of the cache "%s" are', pg_catalog.left(part, 128), $1);
            END IF;
            value := part::bigint;
            part := value::pg_catalog.text;
        ELSIF rules[i] OPERATOR(pg_catalog.=) 'uuid' THEN
            IF part COLLATE pg_catalog."C" OPERATOR(pg_catalog.!~) '^(?:(?:[0-9a-fA-F]{4}-?){7}[0-9a-fA-F]{4}|[{](?:[0-9a-fA-F]{4}-?){7}[0-9a-fA-F]{4}[}])$' THEN
                RAISE invalid_text_representation USING
                    MESSAGE = pg_catalog.format('%L is not a uuid, as the keys of the cache "%s" are', pg_catalog.left(part, 128), $1);
            END IF;
            part := part::pg_catalog.uuid::pg_catalog.text;
        ELSIF pg_catalog.getdatabaseencoding() OPERATOR(pg_catalog.<>) 'UTF8'::pg_catalog.name THEN
            RETURN NULL;
        END IF;
        bytes := CASE WHEN i OPERATOR(pg_catalog.=) 1 THEN ''::pg_catalog.bytea ELSE bytes OPERATOR(pg_catalog.||) E'\\037'::pg_catalog.bytea END
            OPERATOR(pg_catalog.||) COALESCE(pg_catalog.convert_to(part, 'UTF8'), E'\\000'::pg_catalog.bytea);
        i := i OPERATOR(pg_catalog.+) 1;
    END LOOP;
    IF $2 OPERATOR(pg_catalog.=) 'int' THEN
        RETURN ((COALESCE(value, 0::bigint) OPERATOR(pg_catalog.%) 4093::bigint) OPERATOR(pg_catalog.+) 4093::bigint) OPERATOR(pg_catalog.%) 4093::bigint;
    END IF;
    RETURN ('x' OPERATOR(pg_catalog.||) pg_catalog.encode(pg_catalog.substr(pg_catalog.sha256(bytes), 1, 4), 'hex'))::pg_catalog.bit(32)::bigint
        OPERATOR(pg_catalog.%) 4093::bigint;
END
$$;

REVOKE EXECUTE ON FUNCTION bustard.key_bucket(pg_catalog.text, pg_catalog.text, pg_catalog.text[]) FROM PUBLIC;
