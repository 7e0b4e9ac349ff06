# What the scripts of this directory share. A script sources this file after it has set
# `rounds`. The first argument `--check` makes `finish` exit with 1 if a goal is missed.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$here/tests/sql/cluster.sh"
check=${1:-} missed=0

# start_bench [server options]: starts a private cluster with the database `bench`.
start_bench() {
    start_cluster "$@"
    new_database bench || exit 1
    export PGDATABASE=bench
}

run() { psql -qAtX -v ON_ERROR_STOP=1 "$@"; }

# aim WHAT VALUE at-most|at-least LIMIT
aim() {
    local verdict=ok
    awk -v a="$2" -v b="$4" -v r="$3" 'BEGIN { exit !(r == "at-least" ? a >= b : a <= b) }' || {
        verdict=MISSED
        missed=1
    }
    printf '  %-58s %8.2f   %s %s: %s\n' "$1" "$2" "${3/-/ }" "$4" "$verdict"
}

finish() { [ "$check" != --check ] || exit $missed; }

# measure_inserts MANY TABLE…: measures INSERTs into tables that have one column. A round
# inserts 2000 rows into each table, one statement each, and then MANY rows with one
# statement, in random order of the tables. Fills the table `took` with microseconds: `one`
# of a row, and `many`.
measure_inserts() {
    local many=$1 round name
    shift
    run -o /dev/null <<SQL
CREATE TABLE took (round integer, name text, one double precision, many double precision);
CREATE PROCEDURE measure(round integer, name text) LANGUAGE plpgsql AS \$\$
DECLARE
    began timestamptz;
    one   double precision;
BEGIN
    EXECUTE format('TRUNCATE %I', name);
    COMMIT;
    began := clock_timestamp();
    EXECUTE format('DO \$do\$ BEGIN FOR i IN 1..2000 LOOP INSERT INTO %I VALUES (i); END LOOP; END \$do\$', name);
    one := extract(epoch FROM clock_timestamp() - began) * 1e6 / 2000;
    COMMIT;
    EXECUTE format('TRUNCATE %I', name);
    COMMIT;
    began := clock_timestamp();
    EXECUTE format('INSERT INTO %I SELECT i FROM generate_series(1, $many) AS i', name);
    INSERT INTO took VALUES (round, name, one, extract(epoch FROM clock_timestamp() - began) * 1e6);
    COMMIT;
END
\$\$;
SQL
    for round in $(seq 0 "$rounds"); do
        for name in $(shuf -e "$@"); do
            echo "CALL measure($round, '$name');"
        done
        echo 'TRUNCATE bustard.event;'
    done | run -o /dev/null
}

# The first round compiles the functions.
# medians WHAT: prints the median of `one` or `many` for each table.
medians() {
    run -c "SELECT string_agg(name || ' ' || round(m::numeric, 1), ', ' ORDER BY m) FROM (
        SELECT name, percentile_cont(0.5) WITHIN GROUP (ORDER BY $1) AS m FROM took WHERE round > 0 GROUP BY name) AS t"
}

# ratio WHAT OF TO: prints the median of the ratios within each round.
ratio() {
    run -c "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a.$1 / b.$1) FROM took AS a JOIN took AS b USING (round)
        WHERE round > 0 AND a.name = '$2' AND b.name = '$3'"
}

# tps_ratio OF TO: prints the median of the ratios within each round, from the lines
# "round variant transactions/s" of $cluster/tps.
tps_ratio() {
    awk -v a="$1" -v b="$2" '{t[$1, $2] = $3; if ($1 > r) r = $1} END {for (i = 1; i <= r; i++) if (t[i, b]) print t[i, a] / t[i, b]}' "$cluster/tps" |
        sort -g | awk '{x[NR] = $1} END {printf "%.3f", (x[int((NR + 1) / 2)] + x[int((NR + 2) / 2)]) / 2}'
}
