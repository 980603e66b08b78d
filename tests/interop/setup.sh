# Sourced by test.sh: installs what tests/it/interop drives into target/interop, says what it skipped, and sets
# DOORWARD_REQUIRE_<X> for what is there, so that the tests cannot pass by leaving it out.

interop=${CARGO_TARGET_DIR:-target}/interop
mkdir -p "$interop"

# Whether something is installed from just these files.
interop_fresh() {
    local stamp=$interop/$1.stamp
    shift
    [ -e "$stamp" ] && cat "$@" | cmp -s - "$stamp"
}

interop_node() {
    command -v npm >/dev/null && command -v node >/dev/null || return 1
    interop_fresh node tests/interop/package-lock.json && return 0
    note "installing npm's client libraries and oidc-provider"
    cp tests/interop/package.json tests/interop/package-lock.json "$interop/" \
        && (cd "$interop" && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error) \
        && cp tests/interop/package-lock.json "$interop/node.stamp"
}

interop_python() {
    command -v python3 >/dev/null || return 1
    interop_fresh python tests/interop/requirements.txt && return 0
    note "installing PyPI's Authlib"
    rm -rf "$interop/python"
    python3 -m pip install --quiet --no-deps --no-input --disable-pip-version-check --root-user-action=ignore \
        --target "$interop/python" --requirement tests/interop/requirements.txt \
        && cp tests/interop/requirements.txt "$interop/python.stamp"
}

interop_apache() {
    [ -x "$interop/apache/usr/sbin/apache2" ] && return 0
    note "unpacking Debian's Apache with mod_auth_openidc"
    unpack_debian "$interop/apache" \
        apache2-bin libapache2-mod-auth-openidc libapr1 libaprutil1 libcjose0 libhiredis0.14 liblua5.3-0
}

interop_rust() {
    note "building the clients in Rust"
    CARGO_PROFILE_DEV_DEBUG=0 cargo build --quiet --locked --manifest-path tests/interop/rust-clients/Cargo.toml \
        --target-dir "$interop/rust-clients"
}

interop_program() {
    local variable=$1 what=$2 how=$3
    if "$how" >&2; then
        export "DOORWARD_REQUIRE_$variable=1"
    else
        note "SKIPPED: $what"
    fi
}

interop_program NODE "npm's openid-client, oauth4webapi and oidc-provider (Node with npm, or the network, is missing)" interop_node
interop_program PYTHON "PyPI's Authlib (Python with pip, or the network, is missing)" interop_python
interop_program APACHE "Apache with mod_auth_openidc (Debian's packages cannot be had)" interop_apache
interop_program RUST_CLIENTS "the crates openidconnect and oauth2 (they cannot be had)" interop_rust
