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

# A session is a psql that is fed line by line. `ask` waits for the answer, so an
# answer that never comes (something blocks) fails after ten seconds.
open() { # SESSION [ROLE]
    mkfifo "$cluster/$1.in"
    : >"$cluster/$1.out"
    PGUSER=${2:-postgres} psql -qAtX -v VERBOSITY=sqlstate <"$cluster/$1.in" >"$cluster/$1.out" 2>&1 &
    eval "exec {fd_$1}>\"$cluster/$1.in\""
}
asked=0
send() { # SESSION SQL: does not wait
    asked=$((asked + 1))
    local fd=fd_$1
    printf '%s;\n\\echo @%s\n' "$2" "$asked" >&"${!fd}"
}
answer() { # SESSION
    local i
    for i in $(seq 1000); do
        if [ "$(tail -n 1 "$cluster/$1.out")" = "@$asked" ]; then
            sed -e '$d' -e "1,/^@$((asked - 1))\$/{/^@/!d}" "$cluster/$1.out" | grep -v '^@' | tail -n 1
            : >"$cluster/$1.out"
            return
        fi
        sleep 0.01
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
