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

psql -qX -U mallory -v ON_ERROR_STOP=1 -f "$here/tests/sql/hostile.sql"
open m mallory
for table in cache event base caches; do
    ask m "CREATE TEMP TABLE $table ()" >/dev/null
done
ask m "SET standard_conforming_strings = off" >/dev/null
ask m "SET search_path = evil, pg_temp, bustard, pg_catalog" >/dev/null
is 'the traps work' 'ERROR:  ZZ666' "$(ask m 'SELECT 1 = 2')"
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
