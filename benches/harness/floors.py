#!/usr/bin/env python3
"""Every floor of the sidecar, measured in one run and printed as one table.

floors.py [--rounds 5] [--secs 2] [--warm-starts 5] [--revocations 200] [--members 1000000] [--no-build]

Builds (release), makes three worlds under target/harness (kept for the next run), and measures on this machine:
- server CPU per request at 64 connections against bare hyper in the same rounds, alternating, server on core 0, client
  on core 1: cached, SQLite miss, hand-written policies (answers kept, and each one asked of Cedar);
  (the client spins: a client that sleeps between answers makes a slower server pay a wake-up for each, and measures that);
- the same between worlds: 1,000 and 1,000,000 members, 10 and 10,000 permissions;
- anonymous memory with the large world and full caches; time from start to the first answer;
- commit -> denied over real sockets: a role is taken away at the authority while the sidecar is polled.
Exits 1 when a floor is missed."""
import argparse, base64, http.client, json, os, random, shutil, signal, socket, sqlite3, statistics, subprocess, sys, time, tomllib, uuid
from pathlib import Path

from pair import cpu, up

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
BIN = Path(os.environ.get("BIN", TARGET / "release"))
ALLOWED = '"decision":true'
# Has a say about every action; what it reads is never sent.
POLICY = '@id("frozen")\nforbid (principal, action, resource) when { context has frozen && context.frozen };\n'
ATTRIBUTES = '[context]\nfrozen = "Bool"\n'
# Members asked for once, to fill the caches: more than either holds.
SPREAD = 250_000


def build():
    run = lambda directory, *more: subprocess.run(["cargo", "build", "--release", "--locked", *more], cwd=directory, check=True, env={**os.environ, "CARGO_TARGET_DIR": str(TARGET)})
    run(REPOSITORY, "--bin", "doorward", "--bin", "doorward-sidecar")
    run(HERE / "bare-hyper")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def world(members, organizations, services, permissions):
    directory = TARGET / "harness" / f"floors-{members}-{organizations}-{services}-{permissions}"
    if not (directory / "authzen.jsonl").exists():
        shutil.rmtree(directory, ignore_errors=True)
        directory.parent.mkdir(parents=True, exist_ok=True)
        t0 = time.time()
        subprocess.run([BIN / "doorward", "dev", "--prepare", "--data", directory, "--port", str(free_port()), "--sidecar-port", str(free_port()),
                        "--members", str(members), "--organizations", str(organizations), "--services", str(services),
                        "--permissions", str(permissions), "--seed", "7"], check=True)
        print(f"made {directory.name} in {time.time() - t0:.0f} s", flush=True)
    return directory


class Server:
    """One measured server on core 0, with a copy of its own."""

    def __init__(self, name, world=None, cache="", policies=False):
        self.name, self.world, self.port, self.process = name, world, free_port(), None
        self.bodies = (world or WORLDS["large"]) / "authzen.jsonl"
        self.expect = world is not None
        if world is None:
            self.command = [BIN / "bare-hyper", "--tcp", f"127.0.0.1:{self.port}", "--rt", "ct", "--pipeline-flush"]
            return
        own = world / "run" / name
        shutil.rmtree(own, ignore_errors=True)
        own.mkdir(parents=True)
        shutil.copytree(world / "sidecar", own / "data")
        config = f'data = "{own}/data"\nworkers = 1\n'
        if policies:
            (own / "policies").mkdir()
            (own / "policies/frozen.cedar").write_text(POLICY)
            (own / "policies/attributes.toml").write_text(ATTRIBUTES)
            config += f'policies = "{own}/policies"\n'
        config += f'[listen.bench]\naddress = "127.0.0.1:{self.port}"\n'
        if cache:
            config += f"[cache]\n{cache}\n"
        (own / "sidecar.toml").write_text(config)
        self.command = [BIN / "doorward-sidecar", "--config", own / "sidecar.toml"]

    def start(self):
        """Seconds from start to the first answer that says allow."""
        first = self.bodies.read_text().split("\n", 1)[0].encode()
        request = b"POST /access/v1/evaluation HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(first), first)
        t0 = time.perf_counter()
        self.process = subprocess.Popen(["taskset", "-c", "0", *map(str, self.command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            if self.process.poll() is not None or time.perf_counter() - t0 > 120:
                raise SystemExit(f"{self.name} did not start: {' '.join(map(str, self.command))}")
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=5) as s:
                    s.sendall(request)
                    if ALLOWED.encode() in s.recv(65536):
                        return time.perf_counter() - t0
            except OSError:
                pass
            time.sleep(0.002)

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(15)
            self.process = None

    def load(self, secs, conns=64, bodies=None):
        """One run of the client: its line, with the server's CPU per request."""
        before = cpu(self.process.pid)
        command = ["taskset", "-c", "1", BIN / "load", "--tcp", f"127.0.0.1:{self.port}", "--conns", str(conns), "--secs", str(secs), "--warm", "0", "--spin", "yes", "--bodies", bodies or self.bodies]
        if self.expect:
            command += ["--expect", ALLOWED]
        line = json.loads(subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        if line["bad"]:
            raise SystemExit(f"{self.name}: {line['bad']} requests failed")
        # Every other question is allowed: an answer that is wrong is no fast answer.
        if self.expect and not bodies and abs(line["expect_hits"] / line["ok"] - 0.5) > 0.01:
            raise SystemExit(f"{self.name}: {line['expect_hits']} of {line['ok']} allowed, half expected")
        line["us"] = (cpu(self.process.pid) - before) / line["ok"] * 1e6
        return line

    def warm(self):
        """Until every connection has walked well into the next one's questions, in one run: all of them were asked."""
        secs = 1
        while self.load(secs)["ok"] < 20_000:
            secs *= 2

    def status(self, field):
        with open(f"/proc/{self.process.pid}/status") as lines:
            return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))

    def spread(self):
        """Asks for more members than the caches hold, each once or twice."""
        path = self.world / "spread.jsonl"
        if not path.exists():
            copy = sqlite3.connect(f"file:{next((self.world / 'sidecar').glob('copy-*.db'))}?mode=ro", uri=True)
            rows = copy.execute("SELECT organization_id, user_id FROM organization_members").fetchall()
            sample = json.loads(self.bodies.read_text().split("\n", 1)[0])
            with open(path, "w") as out:
                for organization, user in random.Random(7).sample(rows, min(SPREAD, len(rows))):
                    organization = str(uuid.UUID(bytes=organization))
                    sample["subject"]["id"] = str(uuid.UUID(bytes=user))
                    sample["resource"]["id"] = sample["context"]["organization"] = organization
                    out.write(json.dumps(sample, separators=(",", ":")) + "\n")
        first = self.load(3, bodies=path)
        # Connections begin at different lines and walk on: all lines are asked when each has walked its share. 110 s is
        # what the client allows.
        return self.load(min(110, int(SPREAD / first["rps"] * 1.5) + 1), bodies=path)


def revocations(directory, count):
    """Takes a role away `count` times and polls the sidecar on one open connection until it denies. Milliseconds, from
    two instants: the request sent to the authority (before the commit), and its answer read (after it)."""
    authority, sidecar = free_port(), free_port()
    process = subprocess.Popen([BIN / "doorward", "dev", "--data", str(directory), "--port", str(authority), "--sidecar-port", str(sidecar)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.time() + 120
        while not up(f"127.0.0.1:{sidecar}"):
            if process.poll() is not None or time.time() > deadline:
                raise SystemExit("doorward dev did not start")
            time.sleep(0.05)
        profile = tomllib.loads((directory / "profile.toml").read_text())
        bob = profile["users"]["bob"]
        at = http.client.HTTPConnection("127.0.0.1", authority)
        basic = base64.b64encode(f"{profile['client_id']}:{profile['client_secret']}".encode()).decode()
        at.request("POST", "/oauth2/token", "grant_type=client_credentials", {"authorization": f"Basic {basic}", "content-type": "application/x-www-form-urlencoded"})
        token = json.loads(at.getresponse().read())["access_token"]
        check = socket.create_connection(("127.0.0.1", sidecar))
        change = socket.create_connection(("127.0.0.1", authority))
        for s in (check, change):
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        question = f"GET /v1/check?user={bob}&organization=acme&permission=billing:invoice:send HTTP/1.1\r\nhost: localhost\r\n\r\n".encode()

        def asked():
            check.sendall(question)
            answer = check.recv(65536)
            if b" 200 " not in answer[:20]:
                raise SystemExit(f"the sidecar says {answer!r}")
            return ALLOWED.encode() in answer

        def until(wanted):
            deadline = time.perf_counter() + 10
            while asked() != wanted:
                if time.perf_counter() > deadline:
                    raise SystemExit("a change did not arrive within 10 s")

        def send(method):
            path = f"/v1/organizations/acme/members/{bob}/roles/billing/clerk"
            change.sendall(f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{authority}\r\nauthorization: Bearer {token}\r\ncontent-length: 0\r\n\r\n".encode())

        def answered():
            answer = change.recv(65536)
            if b" 20" not in answer[:13]:
                raise SystemExit(f"the authority says {answer!r}")

        sent, told = [], []
        for turn in range(count * 2):
            send("PUT")
            answered()
            until(True)
            start = time.perf_counter()
            send("DELETE")
            if turn % 2 == 0:
                until(False)
                sent.append((time.perf_counter() - start) * 1e3)
                answered()
            else:
                answered()
                start = time.perf_counter()
                until(False)
                told.append((time.perf_counter() - start) * 1e3)
        return sent, told
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def ratios(results, name, base):
    return [x["us"] / y["us"] for x, y in zip(results[name], results[base])]


def percentile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * q))]


def measure(args):
    large, small, few, many = (WORLDS[name] for name in ("large", "small", "few", "many"))
    none = "members = 1\nfront = 1"
    servers = [
        Server("bare hyper"),
        Server("cached", large),
        Server("miss", large, none),
        Server("depends-kept", large, policies=True),
        Server("depends-asked", large, 'depends = "0B"', policies=True),
        Server("cached-1k", small),
        Server("miss-1k", small, none),
        Server("cached-10p", few),
        Server("cached-10000p", many),
    ]
    rows = []
    try:
        starts, start_cpu = [], []
        for turn in range(args.warm_starts):
            starts.append(servers[1].start())
            start_cpu.append(cpu(servers[1].process.pid))
            servers[1].stop()
        for server in servers:
            server.start()
            server.warm()
        results = {server.name: [] for server in servers}
        for turn in range(args.rounds):
            for server in servers if turn % 2 == 0 else servers[::-1]:
                results[server.name].append(server.load(args.secs))
        us = {name: statistics.median(line["us"] for line in lines) for name, lines in results.items()}
        for name, base, floor, what in [
            ("cached", "bare hyper", 1.5, "cached, 64 connections / bare hyper"),
            ("miss", "bare hyper", 2.5, "SQLite miss / bare hyper"),
            ("depends-kept", "bare hyper", 5, "hand-written policies, answers kept / bare hyper"),
            ("depends-asked", "bare hyper", 5, "hand-written policies, Cedar asked each time / bare hyper"),
            ("cached", "cached-1k", 1.5, f"cached, {args.members:,} members / 1,000 members"),
            ("miss", "miss-1k", 1.5, f"SQLite miss, {args.members:,} members / 1,000 members"),
            ("cached-10000p", "cached-10p", 1.5, "cached, 10,000 permissions / 10 permissions"),
        ]:
            each = ratios(results, name, base)
            rows.append((what, statistics.median(each), floor, "x", f"[{min(each):.2f}, {max(each):.2f}] {us[name]:.2f} / {us[base]:.2f} us"))
        calm = servers[1].status("RssAnon")
        line = servers[1].spread()
        rows.append((f"RssAnon, {args.members:,} members, caches full", servers[1].status("RssAnon"), 120, "MiB", f"{calm:.0f} with few members asked for; {line['ok']:,} requests over {SPREAD:,} members at {line['us']:.1f} us"))
        rows.append((f"start to first answer, {args.members:,} members", statistics.median(starts), 2, "s", f"max {max(starts):.2f} of {len(starts)}, CPU {statistics.median(start_cpu):.2f} s"))
    finally:
        for server in servers:
            server.stop()
    if args.revocations:
        sent, told = revocations(large, args.revocations)
        rows.append(("role taken: request sent -> denied, p50", percentile(sent, 0.5), 10, "ms", f"p90 {percentile(sent, 0.9):.1f}, max {max(sent):.1f}, {len(sent)} times"))
        rows.append(("role taken: request sent -> denied, p99", percentile(sent, 0.99), 50, "ms", "the time to commit included"))
        rows.append(("role taken: answer read -> denied, p50", percentile(told, 0.5), 10, "ms", f"p90 {percentile(told, 0.9):.2f}, max {max(told):.1f}, {len(told)} times"))
        rows.append(("role taken: answer read -> denied, p99", percentile(told, 0.99), 50, "ms", "the time to commit left out"))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--secs", type=float, default=2)
    parser.add_argument("--warm-starts", type=int, default=5)
    parser.add_argument("--revocations", type=int, default=200)
    parser.add_argument("--members", type=int, default=1_000_000)
    parser.add_argument("--no-build", action="store_true")
    args = parser.parse_args()
    if not args.no_build:
        build()
    WORLDS.update(
        large=world(args.members, max(1, args.members // 50), 20, 50),
        small=world(1000, 20, 20, 50),
        few=world(1000, 20, 1, 10),
        many=world(1000, 20, 1, 10_000),
    )
    rows = measure(args)
    width = max(len(row[0]) for row in rows)
    missed = 0
    print(f"\n{'floor':<{width}}  {'seen':>10}  {'limit':>9}")
    for what, seen, limit, unit, note in rows:
        missed += seen > limit
        print(f"{what:<{width}}  {seen:>7.2f} {unit:<3} {limit:>6g} {unit:<3} {'MISSED' if seen > limit else 'ok':<6} {note}")
    sys.exit(1 if missed else 0)


WORLDS = {}
if __name__ == "__main__":
    main()
