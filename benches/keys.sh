#!/usr/bin/env bash
# Measures what a key costs a write: an INSERT of one row beside a trigger that does nothing,
# and an INSERT of 100,000 rows beside the trigger of a whole table, in a private cluster with
# the server's default settings, and prints each ratio with its goal:
#   benches/keys.sh [--check]      --check: exit 1 if a goal is missed
# ROUNDS (15); SERVER_OPTIONS are passed to the server.
#
# The results are medians of the ratios within each round.
set -u
rounds=${ROUNDS:-15}
. "$(dirname "$0")/bench.sh"
start_bench ${SERVER_OPTIONS:-}

run -o /dev/null <<'SQL'
CREATE TABLE idle (id integer); CREATE TABLE whole (id integer); CREATE TABLE whole_text (id text);
CREATE TABLE int_key (id integer); CREATE TABLE text_key (id text);
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER nothing AFTER INSERT ON idle REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION nothing();
SELECT bustard.register_cache_on('whole', 'bench', 'whole', 'whole_text');
SELECT bustard.register_cache_on('int_key', 'bench', 'int_key by id');
SELECT bustard.register_cache_on('text_key', 'bench', 'text_key by id');
SQL
echo "PostgreSQL $(run -c 'SHOW server_version'), $(nproc) cores"
measure_inserts 100000 idle whole whole_text int_key text_key
for what in one many; do
    echo "INSERT of $what, microseconds: $(medians $what)"
done
aim 'one row with an integer key, of a trigger that does nothing' "$(ratio one int_key idle)" at-most 4
aim '100,000 rows with integer keys, of a whole table' "$(ratio many int_key whole)" at-most 1.25
aim '100,000 rows with text keys, of a whole table' "$(ratio many text_key whole_text)" at-most 1.25
printf '  %-58s %8.2f\n' 'one row with a text key, of a trigger that does nothing' "$(ratio one text_key idle)"
finish
