#!/usr/bin/env bash
# Measures what triggers cost a statement with 1, 10 and 500 caches on a table, and what
# registering costs when many caches are there, in a private cluster with the server's
# default settings, and prints each ratio with its goal:
#   benches/sources.sh [--check]      --check: exit 1 if a goal is missed
# ROUNDS (15); SERVER_OPTIONS are passed to the server.
#
# The results are medians of the ratios within each round.
set -u
rounds=${ROUNDS:-15}
. "$(dirname "$0")/bench.sh"
start_bench ${SERVER_OPTIONS:-}

run -o /dev/null <<'SQL'
CREATE TABLE without (id integer); CREATE TABLE idle (id integer);
CREATE TABLE one (id integer); CREATE TABLE ten (id integer); CREATE TABLE many (id integer);
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER nothing AFTER INSERT ON idle REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION nothing();
SELECT bustard.register_cache_on('one', 'bench', 'one');
SELECT bustard.register_cache_on('ten' || i, 'bench', 'ten') FROM generate_series(1, 10) AS i;
SELECT bustard.register_cache_on('many' || i, 'bench', 'many') FROM generate_series(1, 500) AS i;
SQL
echo "PostgreSQL $(run -c 'SHOW server_version'), $(nproc) cores"
measure_inserts 2000 without idle one ten many
echo "INSERT of one row, microseconds: $(medians one)"
aim 'with 10 caches, of 1 cache' "$(ratio one ten one)" at-most 1.1
aim 'with 500 caches, of 1 cache' "$(ratio one many one)" at-most 1.1
aim 'with 500 caches, of a trigger that does nothing' "$(ratio one many idle)" at-most 2.2

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
aim 'the 5000th, of the 10th' "$(awk "BEGIN {print $late / $early}")" at-most 2
finish
