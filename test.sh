#!/usr/bin/env bash
# The one test command: sets up what the tests need, runs them all, ends with cargo's own last line.
# Arguments go to `cargo test`, for example `./test.sh --test it store::`.
set -euo pipefail
cd "$(dirname "$0")"

note() { printf '== %s\n' "$*" >&2; }

postgres_server() { compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || command -v postgres >/dev/null; }

sudo=()
[ "$(id -u)" = 0 ] || sudo=(sudo -n)

if ! postgres_server && command -v apt-get >/dev/null; then
    note "PostgreSQL's server is missing: installing Debian's postgresql"
    # The tests start a private cluster of their own; the package's default one is not wanted.
    if ! { "${sudo[@]}" mkdir -p /etc/postgresql-common/createcluster.d \
        && echo 'create_main_cluster = false' | "${sudo[@]}" tee /etc/postgresql-common/createcluster.d/doorward-tests.conf >/dev/null \
        && "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq \
        && "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql >/dev/null; } >&2; then
        note "could not install it (no right, or no network)"
    fi
fi

if postgres_server; then
    export DOORWARD_REQUIRE_POSTGRES=1
    note "store suite: SQLite and PostgreSQL"
else
    note "SKIPPED: the PostgreSQL half of the store suite (no server; install the package postgresql to run it)"
fi

# Real identity providers to log in through.
if command -v npm >/dev/null; then
    mkdir -p target/upstream
    if ! cmp -s tests/upstream/package-lock.json target/upstream/installed.json; then
        note "installing identity providers from npm below target/upstream"
        cp tests/upstream/package.json tests/upstream/package-lock.json target/upstream/
        (cd target/upstream && npm ci --no-audit --no-fund --ignore-scripts >&2) &&
            cp tests/upstream/package-lock.json target/upstream/installed.json || note "npm could not install them"
    fi
fi
if [ -f target/upstream/installed.json ]; then
    export DOORWARD_REQUIRE_UPSTREAM=1
else
    note "SKIPPED: logins through real providers (node, npm and a registry are needed)"
fi

# The pages in a real browser; with arguments, somebody wants certain tests of cargo's only.
browser_tests() {
    if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
        note "SKIPPED: the pages in Chromium (node and npm are needed)"
        return
    fi
    if ! [ -x "${CHROMIUM:=/usr/bin/chromium}" ] && command -v apt-get >/dev/null; then
        local sudo=()
        [ "$(id -u)" = 0 ] || sudo=(sudo -n)
        note "Chromium is missing: installing Debian's chromium"
        { "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq \
            && "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; } >&2 \
            || note "could not install it (no right, or no network)"
    fi
    if ! [ -x "$CHROMIUM" ]; then
        note "SKIPPED: the pages in Chromium (install the package chromium, or set CHROMIUM to its path)"
        return
    fi
    if ! (cd tests/browser && npm ci --no-audit --no-fund --ignore-scripts >&2); then
        note "SKIPPED: the pages in Chromium (npm could not install playwright-core and axe-core)"
        return
    fi
    export CHROMIUM
    note "pages in Chromium; pictures in target/screenshots"
    cargo build --locked --bin doorward --bin doorward-sidecar --example page_gallery >&2
    (cd tests/browser && node --test --test-concurrency=1 gallery.test.mjs flow.test.mjs consent.test.mjs gate.test.mjs >&2)
}

# unpack_debian DIRECTORY PACKAGE...: unpacks, does not install: nothing of the machine's own servers is touched, and no
# right is needed but for lists of packages that are old or missing.
unpack_debian() {
    local where=$1 attempt package
    shift
    command -v apt-get >/dev/null && command -v dpkg >/dev/null || return 1
    rm -rf "$where.debs" && mkdir -p "$where.debs"
    for attempt in 1 2; do
        if (cd "$where.debs" && apt-get download -qq "$@" 2>/dev/null); then
            rm -rf "$where" "$where.new"
            mkdir -p "$where.new"
            for package in "$where.debs"/*.deb; do dpkg --extract "$package" "$where.new" || return 1; done
            mv "$where.new" "$where"
            return 0
        fi
        [ "$attempt" = 1 ] && { "${sudo[@]}" apt-get update -qq >/dev/null 2>&1 || return 1; }
    done
    return 1
}

# Programs that others wrote.
. tests/interop/setup.sh
. tests/proxies/setup.sh
. tests/solver/setup.sh
. tests/openapi/setup.sh

# With nginx, if it is there by now.
[ $# -gt 0 ] || browser_tests

exec cargo test --locked "$@"
