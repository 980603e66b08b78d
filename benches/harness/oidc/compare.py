#!/usr/bin/env python3
"""The authority beside npm's `oidc-provider`, in one alternating run: what a request costs the server in CPU.

compare.py WORLD [--rounds 3] [--secs 3] [--connections 64] [--bin target/release/doorward-authority]

WORLD is a directory made by `cargo test --test it interop::speed -- --ignored` (see README.md): an installation with
its apps, its configuration, and the settings of the scripts. Ends with 1 when a limit is missed."""

import argparse
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
# (what is asked, how many times cheaper than the peer it has to be)
KINDS = [("discovery", 5), ("jwks", 5), ("client_credentials", 4), ("introspection", 4), ("authorize_token", 5), ("authorize_token_rs256", None)]
# The clients never sleep: a server that waits for its client pays for each time it is woken. Made by `run.sh`.
BIN = ROOT / "target/release"
RSS_LIMIT_MIB, START_LIMIT_MS = 30, 150


def cpu(pid):
    """CPU seconds of a process with all its threads."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    exact = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            exact += int(pathlib.Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0])
        except FileNotFoundError:
            pass
    return exact / 1e9 or (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def settled(pid):
    """CPU seconds of a process once it is idle: what it left for later belongs to what was asked."""
    before = cpu(pid)
    for _ in range(60):
        time.sleep(0.5)
        now = cpu(pid)
        if now - before < 0.005:
            return now
        before = now
    return before


def rss_mib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"no VmRSS of {pid}")


class Server:
    """One of the two, pinned to the first core; its log goes nowhere."""

    def __init__(self, name, command, settings, env=None):
        self.name, self.command, self.settings, self.env = name, command, settings, env or {}
        self.process = None

    def start(self):
        """Starts it; gives the milliseconds to the first answer."""
        begin = time.monotonic()
        self.process = subprocess.Popen(["taskset", "-c", "0", *self.command], env={**os.environ, **self.env},
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        url = None
        while time.monotonic() - begin < 60:
            if self.process.poll() is not None:
                raise SystemExit(f"{self.name} ended with {self.process.returncode}")
            try:
                url = url or json.loads(self.settings.read_text())["issuer"] + "/.well-known/openid-configuration"
                urllib.request.urlopen(url, timeout=5).read()
                return (time.monotonic() - begin) * 1000
            except OSError:
                time.sleep(0.002)
        raise SystemExit(f"{self.name} did not answer")

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None

    def measure(self, kind, options):
        """Microseconds of server CPU per request, or per flow."""
        with tempfile.NamedTemporaryFile("w", suffix=".json") as job:
            json.dump({"settings": json.loads(self.settings.read_text()), "kind": kind,
                       "connections": options.connections}, job)
            job.flush()
            tried = subprocess.run(["node", HERE / "load.mjs", job.name], check=True, capture_output=True, text=True)
        request = json.loads(tried.stdout)
        with tempfile.NamedTemporaryFile("w") as file:
            flow = "cookies" in request
            file.write(json.dumps(request) if flow else request.get("body", "") + "\n")
            file.flush()
            bounds = ["--conns", options.connections, "--secs", options.secs]
            if flow:
                command = [BIN / "flow", file.name, *bounds]
            else:
                url = urllib.parse.urlsplit(request["url"])
                command = [BIN / "load", "--tcp", url.netloc, "--path", url.path, "--method", request["method"], *bounds,
                           "--warm", 0, "--spin", "yes", "--bodies", file.name]
                if request.get("type"):
                    command += ["--type", request["type"], "--header", f"authorization: {request['authorization']}"]
            before = settled(self.process.pid)
            told = subprocess.run(["taskset", "-c", "1", *map(str, command)], capture_output=True, text=True)
            spent = settled(self.process.pid) - before
        if told.returncode:
            raise SystemExit(f"{self.name}: {kind}: {told.stderr}")
        told = json.loads(told.stdout)
        if told["bad"] or not told["ok"]:
            raise SystemExit(f"{self.name}: {kind}: {told}")
        return spent / told["ok"] * 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("world", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--secs", type=float, default=3)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--kinds", default=",".join(kind for kind, _ in KINDS), help="some of them, with commas")
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "target/release/doorward-authority")
    options = parser.parse_args()
    world = options.world.resolve()

    peer_settings = world / "upstream.json"
    upstream_port = json.loads(peer_settings.read_text())["issuer"].rpartition(":")[2]
    ours_issuer = json.loads((world / "settings.json").read_text())["issuer"]
    peer = Server("oidc-provider", ["node", world / "scripts/yardstick.mjs", upstream_port, peer_settings], peer_settings,
                  {"UPSTREAM_REDIRECT": f"{ours_issuer}/login/callback/npm", "SAME_TOKENS": "1"})
    ours = Server("doorward", [options.bin, "serve", "--config", world / "authority.toml"], world / "settings.json")

    starts = {server.name: [] for server in (ours, peer)}
    idle = {}
    for _ in range(options.rounds):
        for server in (peer, ours):
            starts[server.name].append(server.start())
            time.sleep(1)
            idle[server.name] = rss_mib(server.process.pid)
            server.stop()
    missed = []
    try:
        peer.start()
        ours.start()
        print(f"{'server CPU per request':<24}{'doorward µs':>14}{'oidc-provider µs':>18}{'ratio':>8}{'limit':>7}")
        for kind, limit in KINDS:
            if kind not in options.kinds.split(","):
                continue
            costs = {ours.name: [], peer.name: []}
            for round_ in range(options.rounds):
                for server in (ours, peer) if round_ % 2 == 0 else (peer, ours):
                    costs[server.name].append(server.measure(kind, options))
            mine, theirs = (statistics.median(costs[server.name]) for server in (ours, peer))
            ratio = theirs / mine
            if limit and ratio < limit:
                missed.append(kind)
            wanted = f"{limit}x" if limit else "-"
            print(f"{kind:<24}{mine:>14.1f}{theirs:>18.1f}{ratio:>7.1f}x{wanted:>7}", flush=True)
        loaded = {server.name: rss_mib(server.process.pid) for server in (ours, peer)}
    finally:
        ours.stop()
        peer.stop()
    print(f"{'RSS idle, MiB':<24}{idle[ours.name]:>14.1f}{idle[peer.name]:>18.1f}{'':>8}{RSS_LIMIT_MIB:>7}")
    print(f"{'RSS after the load, MiB':<24}{loaded[ours.name]:>14.1f}{loaded[peer.name]:>18.1f}")
    start = {name: statistics.median(values) for name, values in starts.items()}
    print(f"{'start to answer, ms':<24}{start[ours.name]:>14.0f}{start[peer.name]:>18.0f}{'':>8}{START_LIMIT_MS:>7}")
    missed += ["RSS idle"] if idle[ours.name] > RSS_LIMIT_MIB else []
    missed += ["start"] if start[ours.name] > START_LIMIT_MS else []
    if missed:
        print("missed:", ", ".join(missed))
    sys.exit(1 if missed else 0)


main()
