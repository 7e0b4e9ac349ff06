# Sessions side by side.
open a; open b; open c
for level in 'READ COMMITTED' 'REPEATABLE READ' SERIALIZABLE; do
    ask a "BEGIN ISOLATION LEVEL $level" >/dev/null
    ask b "BEGIN ISOLATION LEVEL $level" >/dev/null
    is "$level: first in one order" '' "$(ask a "SELECT bustard.invalidate('settings')")"
    is "$level: first in the other" '' "$(ask b "SELECT bustard.invalidate('twice')")"
    is "$level: second in one order" '' "$(ask a "SELECT bustard.invalidate('twice')")"
    is "$level: second in the other" '' "$(ask b "SELECT bustard.invalidate('settings')")"
    is "$level: everything" '' "$(ask a 'SELECT bustard.invalidate_all()')"
    is "$level: everything again" '' "$(ask b 'SELECT bustard.invalidate_all()')"
    is "$level: a fold between" t "$(ask c 'SELECT bustard.fold() >= 0')"
    is "$level: goes on after the fold" '' "$(ask a "SELECT bustard.invalidate('settings', 'twice')")"
    is "$level: commits" '' "$(ask a COMMIT)"
    is "$level: reads and commits" '' "$(ask b COMMIT)"
    is "$level: agreed" 0 "$(ask c 'SELECT count(*) FROM lie')"
done

# Registering waits for registering only.
ask a "BEGIN; SELECT bustard.register_cache('slow')" >/dev/null
is 'invalidate beside a registration' '' "$(ask b "SELECT bustard.invalidate('settings')")"
is 'a read beside it' t "$(ask b "SELECT bustard.get_version('settings') > 0")"
is 'not registered before it commits' 'ERROR:  42704' "$(ask b "SELECT bustard.get_version('slow')")"
is 'a fold beside it' t "$(ask c 'SELECT bustard.fold() >= 0')"
send b "SELECT bustard.register_cache('slow')"
until [ "$(psql -qAtX -c "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'bustard.cache'::regclass")" = 1 ]; do sleep 0.01; done
feed a 'COMMIT;'
is 'the second to register the name' 'ERROR:  42710' "$(answer b)"
ask a "BEGIN; SELECT bustard.register_cache('one')" >/dev/null
send b "SELECT bustard.register_cache('two')"
feed a 'COMMIT;'
is 'two names at once' '' "$(answer b)"
is 'have two ids' 2 "$(ask c "SELECT count(DISTINCT id) FROM bustard.cache WHERE name IN ('one', 'two')")"

# One snapshot for a statement: data and version both old.
ask a "CREATE TABLE data (x int); INSERT INTO data VALUES (1)" >/dev/null
old=$(ask a "SELECT bustard.get_version('settings')")
ask c 'SELECT pg_advisory_lock(1)' >/dev/null
send a "SELECT d.x, bustard.get_version('settings') = $old FROM (SELECT x, pg_advisory_lock(1)::text FROM data OFFSET 0) AS d"
until [ "$(psql -qAtX -c "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'")" = 1 ]; do sleep 0.01; done
psql -qX -o /dev/null -c "BEGIN; UPDATE data SET x = 2; SELECT bustard.invalidate('settings'); COMMIT; SELECT bustard.fold()"
feed c 'SELECT pg_advisory_unlock(1);'
is 'data and version of one statement are both old' '1|t' "$(answer a)"
is 'and both new in the next' '2|f' "$(ask a "SELECT x, bustard.get_version('settings') = $old FROM data")"
ask a 'SELECT pg_advisory_unlock_all()' >/dev/null

# Folding.
is 'not at REPEATABLE READ' 'ERROR:  25001' "$(ask a 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT bustard.fold()')"; ask a ROLLBACK >/dev/null
is 'not at SERIALIZABLE' 'ERROR:  25001' "$(ask a 'BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT bustard.fold()')"; ask a ROLLBACK >/dev/null
is 'not after a write' 'ERROR:  25001' "$(ask a 'BEGIN; UPDATE data SET x = x; SELECT bustard.fold()')"; ask a ROLLBACK >/dev/null
ask a 'SELECT bustard.fold()' >/dev/null
is 'nothing to fold' 0 "$(ask a 'SELECT bustard.fold()')"
is 'writes nothing' t "$(ask a 'BEGIN; SELECT bustard.fold(); SELECT pg_current_xact_id_if_assigned() IS NULL')"; ask a COMMIT >/dev/null
ask a "SELECT bustard.invalidate('settings')" >/dev/null
is 'one at a time' 1 "$(ask a 'BEGIN; SELECT bustard.fold()')"
is 'the other is told 0' 0 "$(ask b 'SELECT bustard.fold()')"
is 'a writer does not care' '' "$(ask c "SELECT bustard.invalidate('settings')")"
is 'a write after a fold, in its transaction' '' "$(ask a "SELECT bustard.invalidate('settings')")"
ask a COMMIT >/dev/null
is 'is seen' 0 "$(ask a 'SELECT count(*) FROM lie')"
ask a "SELECT bustard.invalidate('settings')" >/dev/null
old=$(ask a "SELECT bustard.get_version('settings')")
ask a 'BEGIN; SELECT bustard.fold(); ROLLBACK' >/dev/null
is 'a fold rolled back' "$old" "$(ask a "SELECT bustard.get_version('settings')")"

# A writer that is older than the fold, and one that is prepared; an old reader.
ask a "BEGIN; SELECT bustard.invalidate('settings'); SAVEPOINT s; SELECT bustard.invalidate('twice')" >/dev/null
ask b "BEGIN; SELECT bustard.invalidate('settings'); SAVEPOINT s; SELECT bustard.invalidate('twice'); ROLLBACK TO s; PREPARE TRANSACTION 'p'" >/dev/null
ask b "SELECT bustard.invalidate('twice')" >/dev/null
ask c 'BEGIN ISOLATION LEVEL REPEATABLE READ' >/dev/null
old=$(ask c "SELECT bustard.get_version('settings')")
both=$(ask b "SELECT bustard.get_version('settings')")
is 'folds past running transactions' t "$(ask b 'SELECT bustard.fold() > 0')"
is 'and remembers them' 2 "$(ask b 'SELECT cardinality(unfinished) FROM bustard.base WHERE cache_id = 0')"
is 'the fold changed no version' "$both" "$(ask b "SELECT bustard.get_version('settings')")"
is 'the old reader is not disturbed' "$old" "$(ask c "SELECT bustard.get_version('settings')")"
is 'nor is its view' "$old" "$(ask c "SELECT version FROM bustard.caches WHERE name = 'settings'")"
ask b "SELECT bustard.invalidate('twice')" >/dev/null
is 'a second fold' t "$(ask b 'SELECT bustard.fold() > 0')"
ask a COMMIT >/dev/null
is 'the old writer counts' t "$(ask b "SELECT bustard.get_version('settings') > $both")"
ask b "COMMIT PREPARED 'p'" >/dev/null
is 'the prepared one too' 2 "$(ask b "SELECT (bustard.get_version('settings') >> 23) - ($both >> 23)")"
is 'agreed with both' 0 "$(ask b 'SELECT count(*) FROM lie')"
is 'the old reader still reads its version' "$old" "$(ask c "SELECT bustard.get_version('settings')")"
is 'its definition agrees' 0 "$(ask c 'SELECT count(*) FROM disagreement')"
is 'their events fold' 3 "$(ask b 'SELECT bustard.fold()')"
is 'and nothing changes' 0 "$(ask b 'SELECT count(*) FROM lie')"
is 'nor for the old reader' "$old" "$(ask c "SELECT bustard.get_version('settings')")"
ask c COMMIT >/dev/null

# A call takes 100000 events and what belongs to their last transaction.
for i in 1 2 3; do
    psql -qX -c "DO \$\$ BEGIN FOR i IN 1..60000 LOOP PERFORM bustard.invalidate('settings'); END LOOP; END \$\$"
done
is 'a fold is bounded' 120000 "$(ask a 'SELECT bustard.fold()')"
is 'agreed in the middle' 0 "$(ask a 'SELECT count(*) FROM lie')"
is 'the rest' 60000 "$(ask a 'SELECT bustard.fold()')"
is 'no more' 0 "$(ask a 'SELECT bustard.fold()')"
is 'agreed at the end' 0 "$(ask a 'SELECT count(*) FROM lie')"

# After a restore: the row of the horizon is another, events bear foreign numbers.
ask a "SELECT bustard.invalidate('settings')" >/dev/null
ask a "UPDATE bustard.base SET horizon = '99999999999', unfinished = '{5}' WHERE cache_id = 0" >/dev/null
is 'a foreign horizon is not believed' 0 "$(ask a 'SELECT count(*) FROM lie')"
ask a "INSERT INTO bustard.event (xid, nonce, cache_id) SELECT x, random() * 1e18, id FROM unnest('{3,88888888888,99999999999}'::xid8[]) AS x, bustard.cache WHERE active" >/dev/null
is 'foreign events count' 0 "$(ask a 'SELECT count(*) FROM lie')"
is 'foreign events fold' t "$(ask a 'SELECT bustard.fold() > 3')"
is 'and are counted once' 0 "$(ask a 'SELECT count(*) FROM lie')"
is 'they do not raise the horizon' t "$(ask a 'SELECT horizon <= pg_snapshot_xmax(pg_current_snapshot()) FROM bustard.base WHERE cache_id = 0')"
old=$(ask a "SELECT bustard.get_version('settings')")
ask a "SELECT bustard.invalidate('settings')" >/dev/null
is 'a local event after them counts' t "$(ask a "SELECT bustard.get_version('settings') > $old")"
is 'and agrees' 0 "$(ask a 'SELECT count(*) FROM lie')"
if command -v pg_dump >/dev/null && pg_dump -f "$cluster/dump.sql" 2>/dev/null; then
    old=$(ask a "SELECT bustard.get_version('settings')")
    psql -qX -c 'CREATE DATABASE restored' && psql -qX -d restored -o /dev/null -f "$cluster/dump.sql"
    is 'a restored dump has the same version' "$old|0" "$(psql -qAtX -d restored -c "SELECT bustard.get_version('settings'), (SELECT count(*) FROM lie)")"
    psql -qX -d restored -o /dev/null -c "SELECT bustard.invalidate('settings')" -c 'SELECT bustard.fold()' -c "SELECT bustard.invalidate('settings')"
    is 'and goes on from there' "2|0" "$(psql -qAtX -d restored -c "SELECT (bustard.get_version('settings') >> 23) - ($old >> 23), (SELECT count(*) FROM lie)")"
fi
for table in base event cache; do
    ask a "VACUUM (FULL, FREEZE) bustard.$table" >/dev/null
done
is 'agreed after VACUUM FULL' 0 "$(ask a 'SELECT count(*) FROM lie')"
is 'which keeps the horizon' t "$(ask a 'SELECT xmin = folder FROM bustard.base WHERE cache_id = 0')"
for s in a b c; do close $s; done
