"""An application in Python that uses Bustard's caches with only a driver for
PostgreSQL. Its commands are in COMMANDS. It prints their results, and errors of the
database, as JSON.
"""

import json
import os
import sys

import psycopg2


def call(connection, function, *arguments):
    """Calls one of Bustard's functions."""
    places = ", ".join(["%s"] * len(arguments))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT bustard.{function}({places})", arguments)
        return cursor.fetchone()[0]


def patterns(connection):
    """Returns a value to cache, with its version: the version is read first, then the
    data."""
    version = call(connection, "get_version", "bans")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pattern FROM ban ORDER BY pattern")
        return {"version": version, "patterns": [row[0] for row in cursor]}


def ban(connection, pattern, end):
    """Adds a ban and invalidates the cache of bans, in one transaction."""
    before = call(connection, "get_version", "bans")
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO ban VALUES (%s)", [pattern])
    call(connection, "invalidate", "bans")
    # A transaction sees its own invalidation.
    sees = not call(connection, "is_valid", "bans", before)
    if end == "rollback":
        connection.rollback()
        return {"sees": sees}
    connection.commit()
    if end == "notify":
        call(connection, "notify")
    return {"sees": sees}


def caches(connection):
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, app, version FROM bustard.caches ORDER BY name")
        return cursor.fetchall()


def function(name):
    return lambda connection, *arguments: call(connection, name, *arguments)


COMMANDS = {
    "patterns": patterns,
    "ban": ban,
    "caches": caches,
    "get_version": function("get_version"),
    "is_valid": lambda connection, name, version: call(connection, "is_valid", name, int(version)),
    "invalidate": function("invalidate"),
    "invalidate_all": function("invalidate_all"),
    "register_cache": function("register_cache"),
    "unregister_cache": function("unregister_cache"),
}


def main(command, *arguments):
    connection = psycopg2.connect(os.environ["DATABASE_URL"])
    try:
        result = COMMANDS[command](connection, *arguments)
        connection.commit()
    except psycopg2.Error as error:
        result = {
            "sqlstate": error.pgcode,
            "message": error.diag.message_primary,
            "hint": error.diag.message_hint,
        }
    finally:
        connection.close()
    # void functions return the empty string.
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
