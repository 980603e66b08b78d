# Sourced by test.sh: puts schemathesis, which tests/it/openapi runs, into target/openapi, says when it could not, and
# sets DOORWARD_REQUIRE_SCHEMATHESIS when it is there, so that the tests cannot pass by leaving it out.

openapi_python() {
    local where=${CARGO_TARGET_DIR:-target}/openapi
    command -v python3 >/dev/null || return 1
    mkdir -p "$where"
    cmp -s tests/openapi/requirements.txt "$where/python.stamp" && return 0
    note "installing PyPI's schemathesis below $where"
    rm -rf "$where/python"
    python3 -m pip install --quiet --no-deps --no-input --disable-pip-version-check --root-user-action=ignore \
        --target "$where/python" --requirement tests/openapi/requirements.txt \
        && cp tests/openapi/requirements.txt "$where/python.stamp"
}

if openapi_python >&2; then
    export DOORWARD_REQUIRE_SCHEMATHESIS=1
else
    note "SKIPPED: both OpenAPI documents against the running daemons (Python with pip, or the network, is missing)"
fi
