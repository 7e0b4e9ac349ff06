# The functions one by one.
psql -qX -f "$here/tests/sql/oracle.sql"
open a
is 'an empty registry has no caches' 0 "$(ask a 'SELECT count(*) FROM bustard.caches')"
is 'register' '' "$(ask a "SELECT bustard.register_cache('settings', 'main')")"
is 'register without an app' '' "$(ask a "SELECT bustard.register_cache('Größe 1')")"
is 'the owner is shown' 'settings|main' "$(ask a "SELECT name, app FROM bustard.caches WHERE name = 'settings'")"
is 'a version is positive' t "$(ask a "SELECT bustard.get_version('settings') > 0")"
is 'registered twice' 'ERROR:  42710' "$(ask a "SELECT bustard.register_cache('settings')")"
for name in "''" 'NULL' "E'a\\nb'" "repeat('x', 129)" "E'\\u0085'"; do
    is "register $name" 'ERROR:  22023' "$(ask a "SELECT bustard.register_cache($name)")"
done
is 'register 128 characters' '' "$(ask a "SELECT bustard.register_cache(repeat('ä', 128))")"
for call in "get_version('nobody')" "is_valid('nobody', 1)" "invalidate('nobody')" "invalidate('settings', 'nobody')" \
    "unregister_cache('nobody')" "get_version('')" "invalidate('')" "unregister_cache('')" "invalidate(VARIADIC '{{settings,nobody}}')"; do
    is "$call" 'ERROR:  42704' "$(ask a "SELECT bustard.$call")"
done
for call in "get_version(NULL)" "is_valid(NULL, 1)" "invalidate(NULL)" "invalidate('settings', NULL)" \
    "invalidate(VARIADIC NULL)" "unregister_cache(NULL)"; do
    is "$call" 'ERROR:  22023' "$(ask a "SELECT bustard.$call")"
done
before=$(ask a 'SELECT count(*) FROM bustard.event')
is 'a failed call leaves nothing' t "$(ask a "SELECT count(*) = $before FROM bustard.event")"
is 'an empty array does nothing' '' "$(ask a "SELECT bustard.invalidate(VARIADIC '{}')")"
is 'no event was added' t "$(ask a "SELECT count(*) = $before FROM bustard.event")"
for names in "'settings', 'settings'" "VARIADIC '{{settings,settings}}'" "VARIADIC '[0:0]={settings}'" "'settings'" "'settings', 'Größe 1'"; do
    before=$(ask a "SELECT bustard.get_version('settings')")
    ask a "SELECT bustard.invalidate($names)" >/dev/null
    is "invalidate($names) raises the version" t "$(ask a "SELECT bustard.get_version('settings') > $before")"
done
before=$(ask a "SELECT bustard.get_version('settings')")
other=$(ask a "SELECT bustard.get_version('Größe 1')")
is 'is_valid of the version' t "$(ask a "SELECT bustard.is_valid('settings', $before)")"
for version in 0 -1 1 9223372036854775807 NULL "$before + 1" "$before - 1"; do
    is "is_valid of $version" f "$(ask a "SELECT bustard.is_valid('settings', $version)")"
done
ask a "SELECT bustard.invalidate('settings')" >/dev/null
is 'is_valid after invalidate' f "$(ask a "SELECT bustard.is_valid('settings', $before)")"
is 'the other cache stays valid' t "$(ask a "SELECT bustard.is_valid('Größe 1', $other)")"
ask a "SELECT bustard.invalidate_all()" >/dev/null
is 'invalidate_all' f "$(ask a "SELECT bustard.is_valid('Größe 1', $other)")"
is 'function, view and definition agree' 0 "$(ask a 'SELECT count(*) FROM lie')"

# No version ever comes back.
ask a 'CREATE TABLE seen (version bigint PRIMARY KEY)' >/dev/null
for i in $(seq 20); do
    is "version $i is new" '' "$(ask a "INSERT INTO seen VALUES (bustard.get_version('settings'))")"
    case $((i % 5)) in
    0) ask a "SELECT bustard.unregister_cache('settings')" >/dev/null
        is 'an unregistered cache is unknown' 'ERROR:  42704' "$(ask a "SELECT bustard.invalidate('settings')")"
        is 'and not in the view' 0 "$(ask a "SELECT count(*) FROM bustard.caches WHERE name = 'settings'")"
        is 'unregistered twice' 'ERROR:  42704' "$(ask a "SELECT bustard.unregister_cache('settings')")"
        is 're-register' '' "$(ask a "SELECT bustard.register_cache('settings', 'other')")"
        is 'has the new owner' other "$(ask a "SELECT app FROM bustard.caches WHERE name = 'settings'")" ;;
    1) ask a 'SELECT bustard.invalidate_all()' >/dev/null ;;
    2) ask a "BEGIN; SELECT bustard.invalidate('settings')" >/dev/null
        dirty=$(ask a "SELECT bustard.get_version('settings')")
        ask a ROLLBACK >/dev/null
        is 'a rollback restores the version' f "$(ask a "SELECT bustard.is_valid('settings', $dirty)")"
        ask a "SELECT bustard.invalidate('settings')" >/dev/null
        is 'what was rolled back is not repeated' f "$(ask a "SELECT bustard.is_valid('settings', $dirty)")" ;;
    *) ask a "SELECT bustard.invalidate('settings')" >/dev/null ;;
    esac
    [ $((i % 3)) = 0 ] && ask a 'SELECT bustard.fold()' >/dev/null
done
is 'still all agree' 0 "$(ask a 'SELECT count(*) FROM lie')"

ask a 'BEGIN' >/dev/null
ask a "SELECT bustard.register_cache('twice')" >/dev/null
dirty=$(ask a "SELECT bustard.get_version('twice')")
ask a 'ROLLBACK' >/dev/null
ask a "SELECT bustard.register_cache('twice')" >/dev/null
is 'a rolled back registration had another version' f "$(ask a "SELECT bustard.is_valid('twice', $dirty)")"

# setseed() makes random() repeat itself, but not nonces.
ask a "BEGIN; SELECT setseed(0.5); SELECT bustard.invalidate('twice')" >/dev/null
dirty=$(ask a "SELECT bustard.get_version('twice')")
ask a 'ROLLBACK' >/dev/null
ask a "BEGIN; SELECT setseed(0.5); SELECT bustard.invalidate('twice'); COMMIT" >/dev/null
is 'the same seed gives another nonce' f "$(ask a "SELECT bustard.is_valid('twice', $dirty)")"

# Messages.
message() { psql -AtX -c "SELECT bustard.$1" 2>&1 | grep -v CONTEXT | grep -v ^PL/; }
is 'a near name is suggested' $'ERROR:  cache "Setting" is not registered\nHINT:  Did you mean "settings"?' \
    "$(message "get_version('Setting')" | grep -v ^SQL)"
like 'else names are listed' 'ERROR:  cache "zzz" is not registered*HINT:  Registered caches: *settings*' "$(message "invalidate('zzz')")"
like 'the owner is named' 'ERROR:  cache "settings" is already registered by app "other"*' "$(message "register_cache('settings')")"

# Overflow.
ask a "BEGIN; UPDATE bustard.base SET n = (1::bigint << 40) - 1 - (SELECT count(*) FROM bustard.event WHERE cache_id = 1) WHERE cache_id = 1; INSERT INTO bustard.cache VALUES (1000, 'edge', NULL, true)" >/dev/null
is 'the largest version' t "$(ask a "SELECT bustard.get_version('edge') > 9223372036846387199")"
ask a 'SAVEPOINT s' >/dev/null
ask a "SELECT bustard.invalidate('edge')" >/dev/null
is 'one more overflows' 'ERROR:  22003' "$(ask a "SELECT bustard.get_version('edge')")"
ask a 'ROLLBACK TO s' >/dev/null
ask a "SELECT bustard.invalidate('edge')" >/dev/null
is 'in the view too' 'ERROR:  22003' "$(ask a 'SELECT * FROM bustard.caches')"
ask a ROLLBACK >/dev/null
close a
