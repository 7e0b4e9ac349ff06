#!/usr/bin/env bash
# Measures what triggers cost a statement with 1, 10 and 500 caches on a table, and what
# registering costs when many caches are there, in a private cluster with the server's
# default settings, and prints each ratio with its goal:
#   benches/sources.sh [--check]      --check: exit 1 if a goal is missed
# ROUNDS (15); SERVER_OPTIONS are passed to the server.
#
# A round inserts 2000 rows into each table, one statement each, in random order of the
# tables. The results are medians of the ratios within each round.
set -u
here=$(cd "$(dirname "$0")/.." && pwd)
. "$here/tests/sql/cluster.sh"
rounds=${ROUNDS:-15} check=${1:-} missed=0
start_cluster ${SERVER_OPTIONS:-}
new_database bench || exit 1
export PGDATABASE=bench
run() { psql -qAtX -v ON_ERROR_STOP=1 "$@"; }

# aim WHAT VALUE LIMIT
aim() {
    local verdict=ok
    awk -v a="$2" -v b="$3" 'BEGIN { exit !(a <= b) }' || {
        verdict=MISSED
        missed=1
    }
    printf '  %-58s %8.2f   at most %s: %s\n' "$1" "$2" "$3" "$verdict"
}

run -o /dev/null <<'SQL'
CREATE TABLE without (id integer); CREATE TABLE idle (id integer);
CREATE TABLE one (id integer); CREATE TABLE ten (id integer); CREATE TABLE many (id integer);
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER nothing AFTER INSERT ON idle REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION nothing();
SELECT bustard.register_cache_on('one', 'bench', 'one');
SELECT bustard.register_cache_on('ten' || i, 'bench', 'ten') FROM generate_series(1, 10) AS i;
SELECT bustard.register_cache_on('many' || i, 'bench', 'many') FROM generate_series(1, 500) AS i;
CREATE TABLE took (round integer, name text, micros double precision);
-- Microseconds that one INSERT takes.
CREATE PROCEDURE measure(round integer, name text) LANGUAGE plpgsql AS $$
DECLARE
    began timestamptz;
BEGIN
    EXECUTE format('TRUNCATE %I', name);
    COMMIT;
    began := clock_timestamp();
    EXECUTE format('DO $do$ BEGIN FOR i IN 1..2000 LOOP INSERT INTO %I VALUES (i); END LOOP; END $do$', name);
    INSERT INTO took VALUES (round, name, extract(epoch FROM clock_timestamp() - began) * 1e6 / 2000);
    COMMIT;
END
$$;
SQL
echo "PostgreSQL $(run -c 'SHOW server_version'), $(nproc) cores"
for round in $(seq 0 "$rounds"); do
    for name in $(shuf -e without idle one ten many); do
        echo "CALL measure($round, '$name');"
    done
    echo 'TRUNCATE bustard.event;'
done | run -o /dev/null
# The first round compiles the functions.
ratio() { # OF TO
    run -c "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a.micros / b.micros) FROM took AS a JOIN took AS b USING (round)
        WHERE round > 0 AND a.name = '$1' AND b.name = '$2'"
}
echo "INSERT of one row, microseconds: $(run -c "SELECT string_agg(name || ' ' || round(m::numeric, 1), ', ' ORDER BY m) FROM (
    SELECT name, percentile_cont(0.5) WITHIN GROUP (ORDER BY micros) AS m FROM took WHERE round > 0 GROUP BY name) AS t")"
aim 'with 10 caches, of 1 cache' "$(ratio ten one)" 1.1
aim 'with 500 caches, of 1 cache' "$(ratio many one)" 1.1
aim 'with 500 caches, of a trigger that does nothing' "$(ratio many idle)" 2.2

# Each registration is a transaction, in one session.
times=$(run -c "CREATE TABLE busy (id integer)" -c "DO \$\$
DECLARE began timestamptz; early double precision[]; late double precision[];
BEGIN
    FOR i IN 1..5010 LOOP
        began := clock_timestamp();
        PERFORM bustard.register_cache_on('busy' || i, 'bench', 'busy');
        IF i BETWEEN 6 AND 15 THEN early := early || extract(epoch FROM clock_timestamp() - began) * 1e6;
        ELSIF i > 4995 AND i <= 5005 THEN late := late || extract(epoch FROM clock_timestamp() - began) * 1e6; END IF;
        COMMIT;
    END LOOP;
    CREATE TABLE registered AS SELECT
        (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY e) FROM unnest(early) AS e) AS early,
        (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY l) FROM unnest(late) AS l) AS late;
END \$\$" -c 'SELECT early, late FROM registered')
early=${times%|*} late=${times#*|}
printf 'registering on one table, microseconds: the 10th %.0f, the 5000th %.0f\n' "$early" "$late"
aim 'the 5000th, of the 10th' "$(awk "BEGIN {print $late / $early}")" 2
[ "$check" != --check ] || exit $missed
