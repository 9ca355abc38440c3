#!/usr/bin/env bash
# Runs a command with private, throwaway PostgreSQL and Redis servers beside it:
#   tests/servers.sh COMMAND [ARGUMENT ...]
# They live in a temporary folder, listen on sockets and loopback only, and end with the command.
# Servers that the environment names already (PAYHALL_TEST_DATABASE_URL, PAYHALL_TEST_REDIS_URL)
# are used instead.
set -euo pipefail

folder=$(mktemp -d /tmp/payhall-servers.XXXXXX)
chmod 755 "$folder"
as_postgres=()
[ "$(id -u)" = 0 ] && as_postgres=(setpriv --reuid=postgres --regid=postgres --clear-groups)

stop() {
    status=$?
    [ -f "$folder/redis.pid" ] && kill "$(cat "$folder/redis.pid")" 2>/dev/null || true
    if [ -d "$folder/pg/data" ]; then
        (cd "$folder" && "${as_postgres[@]}" "$pg_bin/pg_ctl" -D "$folder/pg/data" -m immediate stop >/dev/null 2>&1) || true
    fi
    rm -rf "$folder"
    exit "$status"
}
trap stop EXIT
trap 'exit 130' INT TERM

if [ -z "${PAYHALL_TEST_DATABASE_URL:-}" ]; then
    pg_bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1 || true)
    [ -n "$pg_bin" ] || pg_bin=$(dirname "$(command -v initdb || true)")
    if [ ! -x "$pg_bin/initdb" ]; then
        echo "PostgreSQL's initdb is missing: run 'make servers', or set PAYHALL_TEST_DATABASE_URL" >&2
        exit 1
    fi
    mkdir -p "$folder/pg"
    [ "$(id -u)" = 0 ] && chown postgres "$folder/pg"
    cd "$folder"
    "${as_postgres[@]}" "$pg_bin/initdb" -D "$folder/pg/data" -U payhall --auth=trust --encoding=UTF8 \
        --locale=C --no-sync >"$folder/initdb.log" 2>&1 || { cat "$folder/initdb.log" >&2; exit 1; }
    for try in 1 2 3 4 5; do
        port=$((20000 + RANDOM % 20000))
        "${as_postgres[@]}" "$pg_bin/pg_ctl" -D "$folder/pg/data" -w -t 30 -l "$folder/pg/log" \
            -o "-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories=$folder/pg \
                -c max_connections=200 ${PAYHALL_TEST_POSTGRES_OPTIONS:-}" start >"$folder/start.log" 2>&1 && break
        [ "$try" = 5 ] && { cat "$folder/pg/log" >&2; exit 1; }
    done
    cd - >/dev/null
    export PAYHALL_TEST_DATABASE_URL="postgres://payhall@127.0.0.1:$port/postgres"
fi

if [ -z "${PAYHALL_TEST_REDIS_URL:-}" ]; then
    if ! command -v redis-server >/dev/null; then
        echo "redis-server is missing: run 'make servers', or set PAYHALL_TEST_REDIS_URL" >&2
        exit 1
    fi
    redis-server --port 0 --unixsocket "$folder/redis.sock" --daemonize yes --save '' \
        --pidfile "$folder/redis.pid" --dir "$folder" >/dev/null
    export PAYHALL_TEST_REDIS_URL="redis+unix://$folder/redis.sock"
fi

"$@"
