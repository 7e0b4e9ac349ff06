# Who may do what, and what a hostile search_path can change: nothing.
psql -qX -c 'CREATE ROLE reader LOGIN' -c 'CREATE ROLE mallory LOGIN' -c 'GRANT CREATE ON DATABASE registry TO mallory'
open r reader
is 'anybody reads' t "$(ask r "SELECT bustard.get_version('settings') > 0")"
is 'anybody checks' t "$(ask r "SELECT bustard.is_valid('settings', bustard.get_version('settings'))")"
is 'anybody invalidates' '' "$(ask r "SELECT bustard.invalidate('settings')")"
is 'several' '' "$(ask r "SELECT bustard.invalidate('settings', 'twice')")"
is 'everything' '' "$(ask r 'SELECT bustard.invalidate_all()')"
is 'anybody notifies' '' "$(ask r 'SELECT bustard.notify()')"
is 'anybody sees the view' t "$(ask r 'SELECT count(*) > 0 FROM bustard.caches')"
is 'unknown is 42704, with its hint' 'ERROR:  42704' "$(ask r "SELECT bustard.get_version('x')")"
for call in "register_cache('x')" "unregister_cache('settings')" 'fold()' "unknown_cache('x')"; do
    is "$call is refused" 'ERROR:  42501' "$(ask r "SELECT bustard.$call")"
done
for table in cache event base; do
    is "$table is out of reach" 'ERROR:  42501' "$(ask r "SELECT * FROM bustard.$table")"
done
is 'nothing can be created' 'ERROR:  42501' "$(ask r 'CREATE TABLE bustard.x ()')"

# Every function and operator that the registry uses, for every type that it uses
# them on, raises an error in mallory's schema; so do tables and types by its names.
open m mallory
ask m "CREATE SCHEMA evil; GRANT ALL ON SCHEMA evil TO PUBLIC;
CREATE FUNCTION evil.trap() RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''trapped'' USING ERRCODE = ''ZZ666''; END';
DO \$\$
DECLARE
    f record;
    args text;
BEGIN
    FOR f IN
        SELECT p.oid, p.proname, p.prorettype, p.proargtypes::oid[] AS types
        FROM pg_proc AS p
        WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind IN ('f', 'a') AND p.provariadic = 0 AND p.prorettype::regtype::text NOT LIKE 'any%'
          AND NOT EXISTS (SELECT FROM unnest(p.proargtypes::oid[]) AS t WHERE t::regtype::text IN ('internal', 'cstring', 'any'))
          AND p.prorettype::regtype::text NOT IN ('internal', 'cstring', 'trigger', 'event_trigger', 'record')
          AND p.proname IN ('abs', 'bit_xor', 'cardinality', 'count', 'current_setting', 'generate_series', 'hashfloat8extended', 'left', 'length',
              'lower', 'max', 'now', 'pg_current_snapshot', 'pg_current_xact_id', 'pg_current_xact_id_if_assigned', 'pg_notify', 'pg_snapshot_xip',
              'pg_snapshot_xmax', 'pg_try_advisory_xact_lock', 'random', 'strpos', 'string_agg', 'substr', 'sum', 'txid_current', 'unnest', 'int8', 'text', 'bool', 'xid')
    LOOP
        SELECT string_agg(t::regtype::text, ',') INTO args FROM unnest(f.types) AS t;
        EXECUTE format('CREATE FUNCTION evil.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', f.proname, args, f.prorettype::regtype,
            'BEGIN RAISE EXCEPTION ''trapped'' USING ERRCODE = ''ZZ666''; END');
    END LOOP;
    FOR f IN
        SELECT o.oprname, o.oprleft::regtype AS l, o.oprright::regtype AS r
        FROM pg_operator AS o
        WHERE o.oprnamespace = 'pg_catalog'::regnamespace AND o.oprleft <> 0
          AND o.oprleft::regtype::text NOT LIKE 'any%' AND o.oprright::regtype::text NOT LIKE 'any%'
          AND o.oprname IN ('=', '<>', '<', '<=', '>', '>=', '+', '-', '*', '&', '|', '#', '<<', '||', '~')
    LOOP
        EXECUTE format('CREATE OR REPLACE FUNCTION evil.trap(%s, %s) RETURNS boolean LANGUAGE plpgsql AS %L', f.l, f.r,
            'BEGIN RAISE EXCEPTION ''trapped'' USING ERRCODE = ''ZZ666''; END');
        EXECUTE format('CREATE OPERATOR evil.%s (FUNCTION = evil.trap, LEFTARG = %s, RIGHTARG = %s)', f.oprname, f.l, f.r);
    END LOOP;
END
\$\$" | sed 's/^/setting the traps: /'
ask m "CREATE FUNCTION evil.concat(VARIADIC text[]) RETURNS text LANGUAGE plpgsql AS 'BEGIN PERFORM evil.trap(); END'" >/dev/null
ask m "CREATE FUNCTION evil.format(text, VARIADIC text[]) RETURNS text LANGUAGE plpgsql AS 'BEGIN PERFORM evil.trap(); END'" >/dev/null
for table in cache event base caches; do
    ask m "CREATE TABLE evil.$table (); CREATE TEMP TABLE $table ()" >/dev/null
done
for type in text xid xid8 int4 int8 bool pg_snapshot; do
    ask m "CREATE DOMAIN evil.$type AS pg_catalog.int2 CHECK (evil.trap())" >/dev/null
done
ask m "SET standard_conforming_strings = off" >/dev/null
ask m "SET search_path = evil, pg_temp, bustard, pg_catalog" >/dev/null
is 'the traps work' 'ERROR:  ZZ666' "$(ask m 'SELECT count(*) FROM pg_class WHERE 1 = 1')"
is 'there are many' t "$(ask r "SELECT count(*) > 150 FROM pg_operator WHERE oprnamespace = 'evil'::regnamespace")"
before=$(ask r "SELECT bustard.get_version('settings')")
is 'hostile: get_version' "$before" "$(ask m "SELECT bustard.get_version('settings')")"
is 'hostile: is_valid' t "$(ask m "SELECT bustard.is_valid('settings', $before)")"
is 'hostile: view' "$before" "$(ask m "SELECT version FROM bustard.caches WHERE name OPERATOR(pg_catalog.=) 'settings'")"
is 'hostile: invalidate' '' "$(ask m "SELECT bustard.invalidate('settings')")"
is 'hostile: invalidate two' '' "$(ask m "SELECT bustard.invalidate('settings', 'twice', 'twice')")"
is 'hostile: invalidate_all' '' "$(ask m 'SELECT bustard.invalidate_all()')"
is 'hostile: notify' '' "$(ask m 'SELECT bustard.notify()')"
for name in settingz zzz; do
    is "hostile: unknown $name" 'ERROR:  42704' "$(ask m "SELECT bustard.get_version('$name')")"
    is "hostile: invalidate unknown $name" 'ERROR:  42704' "$(ask m "SELECT bustard.invalidate('settings', '$name')")"
done
is 'hostile: three invalidations counted' t "$(ask r "SELECT (bustard.get_version('settings') >> 23) - ($before >> 23) = 3")"
is 'hostile: agreed' 0 "$(ask r 'SELECT count(*) FROM lie')"
# The same for the owner, who runs the rest.
open o
for type in cache event base caches; do ask o "CREATE TEMP TABLE $type ()" >/dev/null; done
ask o 'SET search_path = evil, pg_temp, bustard, pg_catalog' >/dev/null
ask o 'SET standard_conforming_strings = off' >/dev/null
is 'hostile: fold' t "$(ask o 'SELECT bustard.fold() OPERATOR(pg_catalog.>) 0')"
is 'hostile: register' '' "$(ask o "SELECT bustard.register_cache('trap')")"
is 'hostile: register twice' 'ERROR:  42710' "$(ask o "SELECT bustard.register_cache('trap')")"
is 'hostile: register a control character' 'ERROR:  22023' "$(ask o "SELECT bustard.register_cache(E'x\\001')")"
is 'hostile: unregister' '' "$(ask o "SELECT bustard.unregister_cache('trap')")"
is 'hostile: unregister twice' 'ERROR:  42704' "$(ask o "SELECT bustard.unregister_cache('trap')")"
is 'hostile: re-register' '' "$(ask o "SELECT bustard.register_cache('trap')")"
is 'hostile: fold again' t "$(ask o 'SELECT bustard.fold() OPERATOR(pg_catalog.>) 0')"
is 'hostile: still agreed' 0 "$(ask r 'SELECT count(*) FROM lie')"
# The migration itself, applied under that path.
psql -qX -c 'CREATE DATABASE hostile TEMPLATE template0' -c '' >/dev/null
is 'hostile: the migration applies' '' "$(PGOPTIONS="$PGOPTIONS -c search_path=evil,pg_temp,pg_catalog" psql -qX -d hostile -v ON_ERROR_STOP=1 -o /dev/null \
    -c 'CREATE SCHEMA evil' -c 'CREATE SCHEMA bustard' -c 'CREATE DOMAIN evil.text AS int2' -c 'CREATE DOMAIN evil.xid8 AS int2' \
    -f "$here/migrations/V1__registry.postgres.sql" -c 'SELECT bustard.invalidate_all()' 2>&1)"

# Named roles instead of everybody.
psql -qX -c 'CREATE ROLE named LOGIN' -c 'REVOKE USAGE ON SCHEMA bustard FROM PUBLIC' -c 'GRANT USAGE ON SCHEMA bustard TO named'
is 'a role not named is refused' 'ERROR:  42501' "$(ask r "SELECT bustard.get_version('settings')")"
open n named
is 'a named one is not' t "$(ask n "SELECT bustard.get_version('settings') > 0")"
psql -qX -c 'GRANT USAGE ON SCHEMA bustard TO PUBLIC' \
    -c 'REVOKE EXECUTE ON FUNCTION bustard.get_version(text), bustard.is_valid(text, bigint), bustard.invalidate(text[]), bustard.invalidate_all(), bustard.notify() FROM PUBLIC' \
    -c 'REVOKE SELECT ON bustard.caches FROM PUBLIC' \
    -c 'GRANT EXECUTE ON FUNCTION bustard.get_version(text), bustard.is_valid(text, bigint), bustard.invalidate(text[]), bustard.invalidate_all(), bustard.notify() TO named' \
    -c 'GRANT SELECT ON bustard.caches TO named'
for call in "get_version('settings')" "is_valid('settings', 1)" "invalidate('settings')" 'invalidate_all()' 'notify()'; do
    is "not named: $call" 'ERROR:  42501' "$(ask r "SELECT bustard.$call")"
    like "named: $call" '[!E]*' "x$(ask n "SELECT bustard.$call")"
done
is 'not named: view' 'ERROR:  42501' "$(ask r 'SELECT * FROM bustard.caches')"
is 'named: view' t "$(ask n 'SELECT count(*) > 0 FROM bustard.caches')"
psql -qX -c 'GRANT EXECUTE ON FUNCTION bustard.get_version(text), bustard.is_valid(text, bigint), bustard.invalidate(text[]), bustard.invalidate_all(), bustard.notify() TO PUBLIC' \
    -c 'GRANT SELECT ON bustard.caches TO PUBLIC'
for s in r m o n; do close $s; done
