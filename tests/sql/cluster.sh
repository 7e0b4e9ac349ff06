# A private PostgreSQL cluster for a script that sources this file; removed when
# the script ends. Sets PGHOST, PGPORT, PGUSER and the directory $cluster.
# The server comes from $BUSTARD_PG_BIN, PATH, pg_config or Debian's directories.

find_server() {
    local dir
    for dir in ${BUSTARD_PG_BIN:+"$BUSTARD_PG_BIN"} \
        "$(dirname "$(command -v initdb || echo /nowhere/initdb)")" \
        "$(pg_config --bindir 2>/dev/null)" \
        $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -rV); do
        if [ -x "$dir/initdb" ]; then
            echo "$dir"
            return
        fi
    done
    echo "no PostgreSQL server found: install postgresql or set BUSTARD_PG_BIN" >&2
    return 1
}

# PostgreSQL refuses to run as root.
as_server() {
    if [ "$(id -u)" = 0 ]; then
        (cd "$cluster" && setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups "$@")
    else
        "$@"
    fi
}

# start_cluster [server options]
start_cluster() {
    bin=$(find_server) || exit 1
    PATH=$PATH:$bin
    cluster=$(mktemp -d)
    chmod 755 "$cluster"
    [ "$(id -u)" = 0 ] && chown nobody "$cluster"
    trap stop_cluster EXIT
    export PGHOST=$cluster PGPORT=5432 PGUSER=postgres PGDATABASE=postgres PGOPTIONS='-c client_min_messages=warning'
    as_server "$bin/initdb" -D "$cluster/data" -U postgres -A trust -E UTF8 --no-locale >"$cluster/initdb.log" 2>&1 &&
        as_server "$bin/pg_ctl" -w -D "$cluster/data" -l "$cluster/data/log" \
            -o "-k $cluster -c listen_addresses='' -c max_prepared_transactions=10 $*" start >"$cluster/start.log" 2>&1 || {
        cat "$cluster"/*.log "$cluster/data/log" >&2
        exit 1
    }
}

stop_cluster() {
    as_server "$bin/pg_ctl" -m immediate -D "$cluster/data" stop >/dev/null 2>&1
    wait 2>/dev/null
    rm -rf "$cluster"
}

# registry_files: the files of functions and views, each after those that it depends on
registry_files() {
    local file name
    for file in "$here"/migrations/R__*.postgres.sql; do
        name=${file##*/R__}
        echo "$name $name"
        sed -n "s/^-- bustard: depends on bustard R__\\(.*\\)/\\1.postgres.sql $name/p" "$file"
    done | tsort | sed "s|^|$here/migrations/R__|"
}

# new_database NAME: with the registry in it, as the migrator leaves it
new_database() {
    local arguments=() file
    for file in "$here/migrations/V1__registry.postgres.sql" $(registry_files); do
        arguments+=(-f "$file")
    done
    psql -qX -v ON_ERROR_STOP=1 -c "CREATE DATABASE $1" &&
        psql -qX -v ON_ERROR_STOP=1 -1 -d "$1" -o /dev/null -c 'CREATE SCHEMA bustard' \
            "${arguments[@]}" -c 'SELECT bustard.invalidate_all()'
}
