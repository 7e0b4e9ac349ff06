#!/usr/bin/env bash
# Measures the cost of the registry on PostgreSQL with pgbench, in a private cluster with
# the server's default settings, and prints each number with its goal:
#   benches/registry.sh [--check]      --check: exit 1 if a goal is missed
# ROUNDS (11) of SECONDS_EACH (2) per variant, in the protocols MODES (simple
# extended prepared); SERVER_OPTIONS are passed to the server.
#
# The throughput of a virtual machine may drift by half within seconds. The variants
# therefore take turns in short rounds, in random order, and the result is the median of
# the ratios within each round. Much shorter rounds would measure the first calls of 16
# new sessions, which compile the functions.
set -u
rounds=${ROUNDS:-11} seconds=${SECONDS_EACH:-2} modes=${MODES:-simple extended prepared}
. "$(dirname "$0")/bench.sh"
if [ -n "${FLUSH_US:-}" ]; then
    slow=$(mktemp -d)
    chmod 755 "$slow"
    cat >"$slow/flush.c" <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>
/* The real flush, and then the wait. */
int fdatasync(int fd) {
    int (*flush)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    int result = flush(fd);
    const char *wait = getenv("FLUSH_US");
    if (wait) usleep((useconds_t)atoi(wait));
    return result;
}
C
    cc -shared -fPIC -O2 -o "$slow/flush.so" "$slow/flush.c" -ldl || exit 1
    export FLUSH_US LD_PRELOAD="$slow/flush.so"
fi
start_bench -c max_connections=50 -c wal_sync_method=fdatasync ${SERVER_OPTIONS:-}
if [ -n "${FLUSH_US:-}" ]; then
    unset LD_PRELOAD
    rm -r "$slow"
fi

run -o /dev/null <<'SQL'
CREATE TABLE account (id integer PRIMARY KEY, balance bigint NOT NULL) WITH (fillfactor = 50);
INSERT INTO account SELECT i, 0 FROM generate_series(1, 10000) AS i;
CREATE TABLE plain (xid xid8, nonce bigint, cell bigint);
CREATE TABLE counter (id integer PRIMARY KEY, n bigint NOT NULL) WITH (fillfactor = 10);
INSERT INTO counter VALUES (1, 0);
SELECT bustard.register_cache('c');
-- Microseconds that one call takes, the best of seven times a number of calls.
CREATE FUNCTION micros(call text, calls integer) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
    best double precision := 1e9;
    began timestamptz;
BEGIN
    FOR i IN 1..7 LOOP
        began := clock_timestamp();
        EXECUTE format('DO $do$ BEGIN FOR i IN 1..%s LOOP PERFORM %s; END LOOP; END $do$', calls, call);
        best := least(best, extract(epoch FROM clock_timestamp() - began) * 1e6 / calls);
    END LOOP;
    RETURN round(best::numeric, 2);
END
$$;
VACUUM ANALYZE;
SQL
echo "PostgreSQL $(run -c 'SHOW server_version'), $(nproc) cores${FLUSH_US:+, each flush $FLUSH_US µs longer}"

echo; echo "16 clients: BEGIN; UPDATE of a random row of 10000; …; COMMIT"
variant() {
    printf '%s\n' '\set a random(1, 10000)' 'BEGIN;' 'UPDATE account SET balance = balance + 1 WHERE id = :a;' ${2:+"$2"} 'COMMIT;' >"$cluster/$1.sql"
}
variant plain
variant insert "INSERT INTO plain VALUES ('1', 1234567890123456789, 2);"
variant invalidate "SELECT bustard.invalidate('c');"
variant invalidate_all 'SELECT bustard.invalidate_all();'
variant notify 'NOTIFY bustard;'
variant counter 'UPDATE counter SET n = n + 1 WHERE id = 1;'
variants='plain insert invalidate invalidate_all notify counter'
mkfifo "$cluster/listener" && { psql -qX -c 'LISTEN bustard' -f - <"$cluster/listener" >/dev/null 2>&1 & exec 9>"$cluster/listener"; }
for mode in $modes; do
    : >"$cluster/tps"
    for round in $(seq "$rounds"); do
        run -c 'TRUNCATE plain, bustard.event' -c 'VACUUM account' -c 'VACUUM counter'
        pgbench -n -M "$mode" -c 16 -j 2 -T 1 -f "$cluster/plain.sql" >/dev/null 2>&1
        for v in $(shuf -e $variants); do
            pgbench -n -M "$mode" -c 16 -j 2 -T "$seconds" -f "$cluster/$v.sql" 2>&1 | awk -v r="$round" -v v="$v" '/^tps/ {print r, v, $3}' >>"$cluster/tps"
        done
    done
    echo "-M $mode"
    for v in $variants; do
        printf '  %-58s %8.0f transactions/s\n' "$v" "$(awk -v v="$v" '$2 == v {s += $3; n++} END {print s / n}' "$cluster/tps")"
    done
    # The upper bounds of the ratios below: no variant is faster than the plain transaction.
    printf '  %-58s %8.2f, %.2f\n' 'for comparison: plain, of NOTIFY and of the hot row' "$(tps_ratio plain notify)" "$(tps_ratio plain counter)"
    aim 'invalidate, of the bare INSERT' "$(tps_ratio invalidate insert)" at-least 0.8
    aim 'invalidate, of NOTIFY in the transaction' "$(tps_ratio invalidate notify)" at-least 3
    aim 'invalidate, of one hot counter row' "$(tps_ratio invalidate counter)" at-least 3
done
exec 9>&-

echo; echo "Calls, microseconds"
# Two databases, in turns: one with 10 caches, one with 100000.
for i in $(seq 9); do run -o /dev/null -c "SELECT bustard.register_cache('c$i')"; done
run -d postgres -c 'CREATE DATABASE many TEMPLATE bench'
run -d many -c "INSERT INTO bustard.cache (id, name, active) SELECT i, 'cache ' || i, true FROM generate_series(100, 100089) AS i"
for database in bench many; do run -d $database -c 'ANALYZE bustard.cache'; done
for call in invalidate_all\(\) "invalidate('c')" "get_version('c')"; do
    few=1e9 many=1e9
    for i in 1 2 3 4 5; do
        for database in bench many; do
            run -d $database -c 'TRUNCATE bustard.event'
            now=$(run -d $database -c "SELECT micros(\$\$bustard.$call\$\$, 3000)")
            if [ $database = bench ]; then few=$(printf '%s\n' $few $now | sort -g | head -n 1); else many=$(printf '%s\n' $many $now | sort -g | head -n 1); fi
        done
    done
    printf '  %-58s %8.2f, with 10 %.2f\n' "$call, 100000 caches" "$many" "$few"
    aim 'the one of the other' "$(awk "BEGIN {print $many / $few}")" at-most 1.5
done
export PGDATABASE=many
run -o /dev/null -c "INSERT INTO bustard.base (cell, n, nonce) SELECT id::bigint << 12, 1, id FROM bustard.cache ON CONFLICT DO NOTHING" -c ANALYZE
printf '  %-58s %8.0f\n' 'all versions from the view, 100000 caches' "$(run -c "SELECT micros('sum(version) FROM bustard.caches', 1)")"
printf '  %-58s %8.0f\n' 'one version from the view' "$(run -c "SELECT micros('version FROM bustard.caches WHERE name = ''c''', 20)")"

echo; echo "20000 invalidations in one transaction"
run -o "$cluster/linear" <<'SQL'
DO $$
DECLARE
    began timestamptz;
    parts numeric[];
BEGIN
    FOR part IN 1..20 LOOP
        began := clock_timestamp();
        FOR i IN 1..1000 LOOP PERFORM bustard.invalidate('c'); END LOOP;
        parts[part] := extract(epoch FROM clock_timestamp() - began) * 1e3;
    END LOOP;
    CREATE TABLE linear AS SELECT parts;
END
$$;
SELECT sum(p), sum(p) FILTER (WHERE i > 15) / sum(p) FILTER (WHERE i BETWEEN 2 AND 6) FROM linear, unnest(parts) WITH ORDINALITY AS u (p, i);
SQL
printf '  %-58s %8.0f\n' 'milliseconds' "$(cut -d'|' -f1 "$cluster/linear")"
aim 'the last 5000 of the first (after a warm-up of 1000)' "$(cut -d'|' -f2 "$cluster/linear")" at-most 1.5

echo; echo "Reads after 200000 events in 20000 transactions were folded, none of them vacuumed"
run -c 'TRUNCATE bustard.event'
mkfifo "$cluster/old"
psql -qX -f - <"$cluster/old" >/dev/null 2>&1 &
exec 9>"$cluster/old"
# An old snapshot of a transaction that also writes, which is the harder case.
echo "BEGIN ISOLATION LEVEL REPEATABLE READ; CREATE TABLE old (); SELECT pg_advisory_lock(1);" >&9
until [ "$(run -c "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")" = 1 ]; do sleep 0.01; done
read="SELECT micros('bustard.get_version(''c'')', 1000)" view="SELECT micros('version FROM bustard.caches WHERE name = ''c''', 20)"
empty=$(run -c "$read") empty_view=$(run -c "$view")
echo "SELECT bustard.invalidate($(seq -s, -f "'cache %g'" 100 108), 'c');" >"$cluster/ten.sql"
pgbench -n -M prepared -c 16 -j 2 -t 1250 -f "$cluster/ten.sql" >/dev/null 2>&1
until [ "$(run -c 'SELECT bustard.fold()')" = 0 ]; do :; done
run -c 'VACUUM bustard.event'
printf '  %-58s %8.0f\n' 'dead rows still in the table' "$(run -c "CREATE EXTENSION IF NOT EXISTS pgstattuple" -c "SELECT dead_tuple_count FROM pgstattuple('bustard.event')" 2>/dev/null || run -c "SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'event'")"
full=$(run -c "$read") full_view=$(run -c "$view")
printf '  %-58s %8.2f, before %.2f\n' 'get_version, microseconds' "$full" "$empty"
aim 'the one of the other' "$(awk "BEGIN {print $full / $empty}")" at-most 2
printf '  %-58s %8.0f, before %.0f\n' 'one version from the view' "$full_view" "$empty_view"
aim 'the one of the other' "$(awk "BEGIN {print $full_view / $empty_view}")" at-most 2
for i in $(seq 300); do echo "SELECT bustard.invalidate('c'); SELECT bustard.fold();"; done | run -o /dev/null
again=$(run -c "$read")
printf '  %-58s %8.2f\n' 'get_version after 300 more folds' "$again"
exec 9>&-

finish
