#!/usr/bin/env bash
# Measures what a key costs a write: an INSERT of one row beside a trigger that does nothing,
# and an INSERT of 100,000 rows beside the trigger of a whole table, in a private cluster with
# the server's default settings, and prints each ratio with its goal:
#   benches/keys.sh [--check]      --check: exit 1 if a goal is missed
# ROUNDS (15); SERVER_OPTIONS are passed to the server.
#
# A round inserts 2000 rows into each table, one statement each, and then 100,000 rows with
# one statement, in random order of the tables. The results are medians of the ratios within
# each round.
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
CREATE TABLE idle (id integer); CREATE TABLE whole (id integer); CREATE TABLE whole_text (id text);
CREATE TABLE int_key (id integer); CREATE TABLE text_key (id text);
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER nothing AFTER INSERT ON idle REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION nothing();
SELECT bustard.register_cache_on('whole', 'bench', 'whole', 'whole_text');
SELECT bustard.register_cache_on('int_key', 'bench', 'int_key by id');
SELECT bustard.register_cache_on('text_key', 'bench', 'text_key by id');
CREATE TABLE took (round integer, name text, one double precision, many double precision);
-- Microseconds that an INSERT of one row takes, and one of 100,000 rows.
CREATE PROCEDURE measure(round integer, name text) LANGUAGE plpgsql AS $$
DECLARE
    began timestamptz;
    one   double precision;
BEGIN
    EXECUTE format('TRUNCATE %I', name);
    COMMIT;
    began := clock_timestamp();
    EXECUTE format('DO $do$ BEGIN FOR i IN 1..2000 LOOP INSERT INTO %I VALUES (i); END LOOP; END $do$', name);
    one := extract(epoch FROM clock_timestamp() - began) * 1e6 / 2000;
    COMMIT;
    EXECUTE format('TRUNCATE %I', name);
    COMMIT;
    began := clock_timestamp();
    EXECUTE format('INSERT INTO %I SELECT i FROM generate_series(1, 100000) AS i', name);
    INSERT INTO took VALUES (round, name, one, extract(epoch FROM clock_timestamp() - began) * 1e6);
    COMMIT;
END
$$;
SQL
echo "PostgreSQL $(run -c 'SHOW server_version'), $(nproc) cores"
for round in $(seq 0 "$rounds"); do
    for name in $(shuf -e idle whole whole_text int_key text_key); do
        echo "CALL measure($round, '$name');"
    done
    echo 'TRUNCATE bustard.event;'
done | run -o /dev/null
# The first round compiles the functions.
ratio() { # WHAT OF TO
    run -c "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a.$1 / b.$1) FROM took AS a JOIN took AS b USING (round)
        WHERE round > 0 AND a.name = '$2' AND b.name = '$3'"
}
for what in one many; do
    echo "INSERT of $what, microseconds: $(run -c "SELECT string_agg(name || ' ' || round(m::numeric, 1), ', ' ORDER BY m) FROM (
        SELECT name, percentile_cont(0.5) WITHIN GROUP (ORDER BY $what) AS m FROM took WHERE round > 0 GROUP BY name) AS t")"
done
aim 'one row with an integer key, of a trigger that does nothing' "$(ratio one int_key idle)" 4
aim '100,000 rows with integer keys, of a whole table' "$(ratio many int_key whole)" 1.25
aim '100,000 rows with text keys, of a whole table' "$(ratio many text_key whole_text)" 1.25
printf '  %-58s %8.2f\n' 'one row with a text key, of a trigger that does nothing' "$(ratio one text_key idle)"
[ "$check" != --check ] || exit $missed
