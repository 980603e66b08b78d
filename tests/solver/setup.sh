# Sourced by test.sh: installs Z3 from PyPI into target/solver for the proofs of policies, unless CVC5 or Z3 names a
# solver already, and sets DOORWARD_REQUIRE_SOLVER, so that the tests cannot pass by leaving it out.

solver=${CARGO_TARGET_DIR:-target}/solver

solver_z3() {
    [ -z "${CVC5:-}${Z3:-}" ] || return 0
    if ! [ -x "$solver/bin/z3" ] || ! cmp -s tests/solver/requirements.txt "$solver/installed.txt"; then
        command -v python3 >/dev/null || return 1
        note "installing the solver Z3 from PyPI"
        rm -rf "$solver"
        python3 -m pip install --quiet --no-deps --no-input --disable-pip-version-check --root-user-action=ignore \
            --target "$solver" --requirement tests/solver/requirements.txt \
            && cp tests/solver/requirements.txt "$solver/installed.txt" || return 1
    fi
    # Absolute: tests run elsewhere.
    Z3=$(cd "$solver/bin" && pwd)/z3
    export Z3
}

if solver_z3 >&2; then
    export DOORWARD_REQUIRE_SOLVER=1
else
    note "SKIPPED: proofs of policies (Python with pip, or the network, is missing; or name a solver: CVC5 or Z3)"
fi
