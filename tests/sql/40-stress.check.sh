# Writers, a folder and readers for a few seconds. Every read compares function,
# view and definition in one statement; no transaction may fail.
seconds=${SECONDS_OF_STRESS:-5}
stress() { # NAME CLIENTS SCRIPT
    printf '%s\n' "$3" >"$cluster/$1.sql"
    pgbench -n -c "$2" -j 1 -T "$seconds" -f "$cluster/$1.sql" >"$cluster/$1.log" 2>&1 &
}
counted() { psql -qAtX -c 'SELECT n + (SELECT count(*) FROM bustard.event) FROM bustard.base WHERE cache_id = 0'; }
for level in 'READ COMMITTED' 'REPEATABLE READ' SERIALIZABLE; do
    psql -qX -c "ALTER DATABASE registry SET default_transaction_isolation = '$level'" -c 'VACUUM bustard.event'
    before=$(counted)
    stress commit 4 "BEGIN;
SELECT bustard.invalidate('settings', 'twice');
SAVEPOINT s;
SELECT bustard.invalidate('one');
ROLLBACK TO s;
SELECT bustard.invalidate('two');
SELECT bustard.invalidate_all();
COMMIT;"
    stress reverse 3 "BEGIN;
SELECT bustard.invalidate('two');
SELECT bustard.invalidate('twice', 'settings');
COMMIT;"
    stress abort 1 "BEGIN;
SELECT bustard.invalidate('settings');
ROLLBACK;"
    stress fold 2 "BEGIN ISOLATION LEVEL READ COMMITTED;
SELECT bustard.fold();
COMMIT;"
    stress read 3 "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT 1 / (CASE WHEN EXISTS (SELECT FROM lie) THEN 0 ELSE 1 END);
\\sleep 2 ms
SELECT 1 / (CASE WHEN EXISTS (SELECT FROM lie) THEN 0 ELSE 1 END);
COMMIT;"
    wait $(jobs -p | tail -n 5)
    for part in commit reverse abort fold read; do
        is "stress at $level: $part" '' "$(grep -iE 'error|aborted' "$cluster/$part.log")"
    done
    done_by() { awk '/actually processed/ {print $6}' "$cluster/$1.log" | cut -d/ -f1; }
    expected=$(($(done_by commit) * 4 + $(done_by reverse) * 3))
    is "stress at $level: every committed event counted once" "$expected" $(($(counted) - before))
    is "stress at $level: agreed" 0 "$(psql -qAtX -c 'SELECT count(*) FROM lie')"
    echo "stress at $level: $(($(done_by commit) + $(done_by reverse))) commits, $(done_by fold) folds, $(($(done_by read) * 2)) checked reads of all versions"
done
