#!/usr/bin/env bash
# Measures the cost of the triggers of `register cache … on` for writers with pgbench, in a
# private cluster with the server's default settings: each write to a table with triggers
# is compared with the same write to a table without:
#   benches/triggers.sh
# ROUNDS (11) of SECONDS_EACH (2) per variant, in the protocols MODES (simple
# prepared), with CLIENTS (16); SERVER_OPTIONS are passed to the server.
#
# As in registry.sh, the variants take turns in short rounds, in random order, and
# the result is the median of the ratios within each round. The last variants are for
# comparison: a call of bustard.invalidate() after the write, and an AFTER trigger with a
# transition table that does nothing.
set -u
rounds=${ROUNDS:-11} seconds=${SECONDS_EACH:-2} modes=${MODES:-simple prepared} clients=${CLIENTS:-16}
. "$(dirname "$0")/bench.sh"
start_bench -c max_connections=50 ${SERVER_OPTIONS:-}

run -o /dev/null <<'SQL'
CREATE TABLE without (id bigserial PRIMARY KEY, balance bigint NOT NULL) WITH (fillfactor = 50);
INSERT INTO without (balance) SELECT 0 FROM generate_series(1, 10000);
CREATE TABLE tracked (id bigserial PRIMARY KEY, balance bigint NOT NULL) WITH (fillfactor = 50);
INSERT INTO tracked (balance) SELECT 0 FROM generate_series(1, 10000);
CREATE TABLE idle (id bigserial PRIMARY KEY, balance bigint NOT NULL) WITH (fillfactor = 50);
INSERT INTO idle (balance) SELECT 0 FROM generate_series(1, 10000);
SELECT bustard.register_cache('c');
SELECT bustard.register_cache_on('balances', 'bench', 'tracked');
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER nothing_update AFTER UPDATE ON idle REFERENCING NEW TABLE AS changed EXECUTE FUNCTION nothing();
CREATE TRIGGER nothing_insert AFTER INSERT ON idle REFERENCING NEW TABLE AS changed EXECUTE FUNCTION nothing();
VACUUM ANALYZE;
SQL
echo "PostgreSQL $(run -c 'SHOW server_version'), $(nproc) cores, $clients clients"

# variant NAME TABLE STATEMENT [SECOND STATEMENT]
variant() {
    printf '%s\n' '\set a random(1, 10000)' '\set b random(1, 9900)' "${3//TABLE/$2}" ${4:+"$4"} >"$cluster/$1.sql"
}
update='UPDATE TABLE SET balance = balance + 1 WHERE id = :a;'
insert='INSERT INTO TABLE (balance) VALUES (1);'
# Locks the rows in one order, so that concurrent transactions cannot deadlock.
many='WITH o AS (SELECT id FROM TABLE WHERE id BETWEEN :b AND :b + 99 ORDER BY id FOR UPDATE)
UPDATE TABLE AS t SET balance = balance + 1 FROM o WHERE t.id = o.id;'
none='UPDATE TABLE SET balance = balance + 1 WHERE id = 0 - :a;'
for table in without tracked idle; do
    variant "update_$table" $table "$update"
    variant "insert_$table" $table "$insert"
    variant "many_$table" $table "$many"
    variant "none_$table" $table "$none"
done
variant update_call without 'BEGIN;' "$(printf '%s\n' "${update//TABLE/without}" "SELECT bustard.invalidate('c');" 'COMMIT;')"

for mode in $modes; do
    : >"$cluster/tps"
    for round in $(seq "$rounds"); do
        run -c 'TRUNCATE bustard.event' -c 'DELETE FROM without WHERE id > 10000' -c 'DELETE FROM tracked WHERE id > 10000' \
            -c 'DELETE FROM idle WHERE id > 10000' -c 'VACUUM without' -c 'VACUUM tracked' -c 'VACUUM idle'
        pgbench -n -M "$mode" -c "$clients" -j 2 -T 1 -f "$cluster/update_without.sql" >/dev/null 2>&1
        for v in $(cd "$cluster" && ls ./*.sql | shuf); do
            v=$(basename "$v" .sql)
            pgbench -n -M "$mode" -c "$clients" -j 2 -T "$seconds" -f "$cluster/$v.sql" 2>&1 |
                awk -v r="$round" -v v="$v" '/^tps/ {print r, v, $3}' >>"$cluster/tps"
        done
    done
    echo; echo "-M $mode: transactions/s without, with, and the median of their ratios"
    for write in update insert many none; do
        case $write in
        update) what='UPDATE of one row' ;;
        insert) what='INSERT of one row' ;;
        many) what='UPDATE of 100 rows' ;;
        none) what='UPDATE of no row' ;;
        esac
        printf '  %-22s %8.0f %8.0f   %.2f   (with a trigger that does nothing %.2f)\n' "$what" \
            "$(awk -v v="${write}_without" '$2 == v {s += $3; n++} END {print s / n}' "$cluster/tps")" \
            "$(awk -v v="${write}_tracked" '$2 == v {s += $3; n++} END {print s / n}' "$cluster/tps")" \
            "$(tps_ratio "${write}_tracked" "${write}_without")" "$(tps_ratio "${write}_idle" "${write}_without")"
    done
    printf '  %-22s %26.2f\n' 'UPDATE and invalidate' "$(tps_ratio update_call update_without)"
done
