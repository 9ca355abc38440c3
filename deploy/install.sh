#!/usr/bin/env bash
# Installs what the Makefile needs and this machine lacks, from the system's own packages:
#   deploy/install.sh libpq [FEATURES]   PostgreSQL's client library with its headers
#   deploy/install.sh servers            PostgreSQL, Redis and the clients' languages, for the tests and
#                                        the benchmark
# Does nothing where everything is there already.
set -euo pipefail

apt_install() {
    local sudo=()
    [ "$(id -u)" = 0 ] || sudo=(sudo)
    if ! command -v apt-get >/dev/null; then
        echo "Please install: $* (or what your system calls them). $hint" >&2
        exit 1
    fi
    echo "Installing $* ..." >&2
    "${sudo[@]}" apt-get update -qq
    # A server that a package brings must not start by itself on this machine.
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

case "${1:-}" in
libpq)
    case "${2:-}" in *postgres-static*) exit 0 ;; esac
    hint="Without it: make FEATURES=postgres-static, which builds it from source."
    if ! { pkg-config --exists libpq 2>/dev/null || pg_config --version >/dev/null 2>&1 &&
        [ -e "$(pg_config --includedir)/libpq-fe.h" ]; }; then
        apt_install libpq-dev pkg-config
    fi
    ;;
servers)
    hint="Or name running ones: PAYHALL_TEST_DATABASE_URL and PAYHALL_TEST_REDIS_URL."
    missing=()
    if [ -z "${PAYHALL_TEST_DATABASE_URL:-}" ] && ! compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null &&
        ! command -v initdb >/dev/null; then
        missing+=(postgresql)
    fi
    if [ -z "${PAYHALL_TEST_REDIS_URL:-}" ] && ! command -v redis-server >/dev/null; then
        missing+=(redis-server)
    fi
    # Clients in other languages, and the commands that the documents tell people to type.
    python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || missing+=(python3-venv)
    command -v npm >/dev/null || missing+=(npm)
    command -v curl >/dev/null || missing+=(curl)
    [ ${#missing[@]} = 0 ] || apt_install "${missing[@]}"
    ;;
*)
    echo "usage: $0 libpq [FEATURES] | servers" >&2
    exit 2
    ;;
esac
