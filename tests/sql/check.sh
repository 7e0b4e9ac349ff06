#!/usr/bin/env bash
# Checks of the registry's SQL on PostgreSQL, in a private cluster: what the
# functions promise, to whom, and under concurrency. Exits 1 if any fails.
set -u
here=$(cd "$(dirname "$0")/../.." && pwd)
. "$here/tests/sql/cluster.sh"
start_cluster -c fsync=off

checks=0 failures=0
# is WHAT EXPECTED GOT
is() {
    checks=$((checks + 1))
    if [ "$2" != "$3" ]; then
        failures=$((failures + 1))
        printf 'FAILED: %s\n  expected: %s\n  got:      %s\n' "$1" "$2" "$3"
    fi
}
# like WHAT PATTERN GOT
like() {
    case $3 in $2) is "$1" ok ok ;; *) is "$1" "$2" "$3" ;; esac
}

# A session is a psql that is fed line by line. `ask` gives the last line of the
# answer; one that never comes, because something blocks, fails after ten seconds.
open() { # SESSION [ROLE]
    mkfifo "$cluster/$1.in"
    : >"$cluster/$1.out"
    PGUSER=${2:-postgres} psql -qAtX -v VERBOSITY=sqlstate <"$cluster/$1.in" >>"$cluster/$1.out" 2>&1 &
    eval "exec {fd_$1}>\"$cluster/$1.in\""
}
feed() { # SESSION LINE
    local fd=fd_$1
    printf '%s\n' "$2" >&"${!fd}"
}
send() { # SESSION SQL: does not wait
    wc -c <"$cluster/$1.out" >"$cluster/$1.from"
    feed "$1" "$2;"
    feed "$1" '\echo @end'
}
answer() { # SESSION
    local from said deadline=$((SECONDS + 10))
    from=$(cat "$cluster/$1.from")
    while [ $SECONDS -lt $deadline ]; do
        said=$(tail -c "+$((from + 1))" "$cluster/$1.out")
        case $said in
        *@end)
            said=${said%@end}
            said=${said%$'\n'}
            echo "${said##*$'\n'}"
            return
            ;;
        esac
        sleep 0.003
    done
    echo 'no answer'
}
ask() {
    send "$1" "$2"
    answer "$1"
}
close() {
    local fd=fd_$1
    eval "exec ${!fd}>&-"
    rm -f "$cluster/$1.in"
}

new_database registry || exit 1
export PGDATABASE=registry
for file in "$here"/tests/sql/*.check.sh; do
    . "$file"
done
echo "$checks checks, $failures failed, on $(psql -qAtX -c 'SHOW server_version')"
[ "$failures" = 0 ]
