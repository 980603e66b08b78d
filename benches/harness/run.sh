#!/usr/bin/env bash
# Measures the sidecar beside the yardstick. Sizes come from the environment: MEMBERS, ORGANIZATIONS, SERVICES, ROLES,
# PERMISSIONS, SEED; ROUNDS, SECS, CONNS; WORLD (a directory that is reused when it holds a world).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)
# One target directory for everything.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$repository/target}

(cd "$repository" && cargo build --release --locked --bins)
(cd "$here/bare-hyper" && cargo build --release --locked)

export BIN=$CARGO_TARGET_DIR/release
export LOAD_BIN=$BIN/load
members=${MEMBERS:-100000}
export WORLD=${WORLD:-$CARGO_TARGET_DIR/harness/world-$members-${ORGANIZATIONS:-2000}-${SERVICES:-10}-${ROLES:-5}-${PERMISSIONS:-100}-${SEED:-7}}

if [ ! -e "$WORLD/authzen.jsonl" ]; then
    rm -rf "$WORLD"
    "$BIN/doorward" dev --prepare --data "$WORLD" --members "$members" --organizations "${ORGANIZATIONS:-2000}" \
        --services "${SERVICES:-10}" --roles "${ROLES:-5}" --permissions "${PERMISSIONS:-100}" --seed "${SEED:-7}"
fi

# A sidecar has a copy of its own: they run at the same time.
variant() {
    local name=$1 port=$2
    mkdir -p "$WORLD/$name"
    rm -rf "$WORLD/$name/data"
    cp -r "$WORLD/sidecar" "$WORLD/$name/data"
    {
        echo "data = \"$WORLD/$name/data\""
        echo "workers = 1"
        [ "$name" != depends ] || echo "policies = \"$WORLD/$name/policies\""
        echo "[listen.bench]"
        echo "address = \"127.0.0.1:$port\""
        if [ "$name" = miss ]; then
            echo "[cache]"
            echo "members = 0"
            echo "front = 0"
        fi
    } >"$WORLD/$name/sidecar.toml"
}
variant cached 9131
variant miss 9132
mkdir -p "$WORLD/depends/policies"
cat >"$WORLD/depends/policies/guard.cedar" <<'POLICY'
@id("guard")
forbid (principal, action, resource) unless { resource in principal.organization };
POLICY
variant depends 9133

python3 "$here/pair.py" "$here/specs/sidecar.json" --rounds "${ROUNDS:-5}" --secs "${SECS:-3}" ${CONNS:+--conns "$CONNS"} ${OUT:+--out "$OUT"}
