"""Runs named cases and prints one JSON line for each: {"case", "ok"} or {"case", "ok": false, "error"}."""

import json
import sys
import time
import traceback

with open(sys.argv[1], encoding="utf-8") as file:
    settings = json.load(file)

_cases = []


def case(name):
    def note(body):
        _cases.append((name, body))
        return body
    return note


def run():
    failed = False
    for name, body in _cases:
        if sys.argv[2:] and not any(part in name for part in sys.argv[2:]):
            continue
        begin = time.monotonic()
        try:
            body()
            told = {"case": name, "ok": True, "ms": round((time.monotonic() - begin) * 1000)}
        except Exception:  # noqa: BLE001: whatever it is, it is the case's failure
            failed = True
            told = {"case": name, "ok": False, "error": traceback.format_exc()}
        print(json.dumps(told), flush=True)
    sys.exit(1 if failed else 0)
