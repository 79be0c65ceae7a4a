#!/bin/sh
# Installs what the tests start privately: the server binaries of PostgreSQL and MariaDB with their clients, and the
# sqlite3 shell. Nothing to do where they are there already.
set -eu

have_postgres() {
    [ -n "${SENSEI_TEST_PGBIN:-}" ] && [ -x "$SENSEI_TEST_PGBIN/initdb" ] && return 0
    command -v initdb >/dev/null 2>&1 && return 0
    for initdb in /usr/lib/postgresql/*/bin/initdb /opt/homebrew/opt/postgresql*/bin/initdb \
        /usr/local/opt/postgresql*/bin/initdb; do
        [ -x "$initdb" ] && return 0
    done
    return 1
}

have_mariadb() {
    [ -n "${SENSEI_TEST_MARIADBD:-}" ] || PATH="$PATH:/usr/sbin:/usr/local/sbin" command -v mariadbd >/dev/null 2>&1 ||
        return 1
    command -v mariadb-install-db >/dev/null 2>&1
}

packages=""
have_postgres || packages="postgresql"
# The core packages bring the programs without the service, which Debian would start and enable.
have_mariadb || packages="$packages mariadb-server-core"
command -v mariadb >/dev/null 2>&1 || packages="$packages mariadb-client-core"
command -v sqlite3 >/dev/null 2>&1 || packages="$packages sqlite3"
if [ -z "$packages" ]; then
    echo "PostgreSQL, MariaDB and sqlite3 are installed."
    exit 0
fi

as_root=""
if [ "$(id -u)" != 0 ]; then
    # -n: a question for a password would hang where nobody sits.
    if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        as_root="sudo -n"
    else
        as_root="none"
    fi
fi
if ! command -v apt-get >/dev/null 2>&1 || [ "$as_root" = none ]; then
    echo "Missing:$(printf ' %s' $packages). Install PostgreSQL's server (15 or later, with its contrib" >&2
    echo "extensions), MariaDB's server and client (10.11 or later) and the sqlite3 shell: on Debian and Ubuntu" >&2
    echo "'apt-get install postgresql mariadb-server-core mariadb-client-core sqlite3' as root, on macOS" >&2
    echo "'brew install postgresql@17 mariadb sqlite'." >&2
    exit 1
fi

# The tests start servers of their own: Debian must not make and start its cluster "main". Written before the
# package comes, and where it comes with a file of its own, ours is kept.
$as_root mkdir -p /etc/postgresql-common
if ! grep -qs '^create_main_cluster *= *false' /etc/postgresql-common/createcluster.conf; then
    echo "create_main_cluster = false" | $as_root tee -a /etc/postgresql-common/createcluster.conf >/dev/null
fi
# sudo drops the environment: the setting goes on the command line.
$as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q
# shellcheck disable=SC2086  # a list of words
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
    -o Dpkg::Options::=--force-confold $packages
have_postgres || { echo "PostgreSQL was installed but initdb was not found." >&2; exit 1; }
have_mariadb || { echo "MariaDB was installed but mariadbd was not found." >&2; exit 1; }
