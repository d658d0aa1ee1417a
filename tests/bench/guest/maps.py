#!/usr/bin/env python3
"""Guest instructions for a lookup in a hash table of 1,000 entries and in one of 1,000,000.

QEMU counts instructions (-icount shift=0: one each nanosecond of the guest's clock), so what the
guest takes for time are instructions, the same ones every time. The programs are maps.bpf.c;
`make bench-maps` builds and runs all of it. Exit status 1 when the larger table's lookups take more
than LIMIT times the smaller one's.
"""

import os
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "tests", "system"))

import guest  # noqa: E402

STEPS = 64          # operations in a run: maps.bpf.c
FRAME = bytes(64)   # what the XDP programs run on
SMALL, LARGE = 1000, 1000000
CHUNK = 500         # runs in one command: the server serves nobody else meanwhile
LIMIT = 1.2


class Machine:
    def __init__(self, machine, folder):
        self.machine = machine
        self.frame = os.path.join(folder, "frame")
        with open(self.frame, "wb") as file:
            file.write(FRAME)

    def run(self, program, runs):
        """(return value of the last run, instructions a run)"""
        total, left, value = 0, runs, 0
        while left > 0:
            repeat = min(left, CHUNK)
            out = self.machine.skepctl_json("prog", "run", "pinned", f"bench/{program}", "data_in",
                                            self.frame, "repeat", repeat, timeout=120)
            total += out["duration"] * repeat
            value = out["retval"]
            left -= repeat
        return value, total / runs


def measure(machine):
    """Instructions by name of program, one operation each."""
    spent = {}
    for size, entries in (("small", SMALL), ("large", LARGE)):
        runs = -(-entries // STEPS)
        value, cost = machine.run(f"fill_{size}", runs)
        if value != 2:
            sys.exit(f"fill_{size}: an update failed")
        spent[f"fill_{size}"] = cost * runs / entries
    for name in ("nothing", "lookup_small", "lookup_large"):
        machine.run(name, 50)  # translated code, not QEMU's translation
        value, cost = machine.run(name, 2000)
        if value != STEPS:
            sys.exit(f"{name}: {value} of {STEPS} keys found")
        spent[name] = cost / STEPS
    return spent


def main():
    program = os.path.join(guest.BUILD, "bench", "guest", "maps.bpf.o")
    with tempfile.TemporaryDirectory(prefix="skep-") as folder, \
            guest.Guest(boot="pvh", qemu=["-icount", "shift=0"], limit=900) as machine:
        machine.wait_ready(120)
        machine.skepctl("prog", "loadall", program, "bench", timeout=60)
        spent = measure(Machine(machine, folder))
        used = machine.skepctl_json("map", "show", "name", "large")["bytes_memlock"]
        machine.skepctl("sys", "poweroff")
        machine.wait_exit(60)
    small, large = (spent[f"lookup_{size}"] - spent["nothing"] for size in ("small", "large"))
    print("hash table, 8-byte keys and values; guest instructions")
    print(f"  {'entries':>9}  {'lookup':>8}  {'update':>8}")
    print(f"  {SMALL:>9,}  {small:>8.1f}  {spent['fill_small']:>8.1f}")
    print(f"  {LARGE:>9,}  {large:>8.1f}  {spent['fill_large']:>8.1f}")
    print(f"  lookups: {large / small:.3f} times as many (limit {LIMIT}); "
          f"{used / LARGE:.1f} bytes an entry")
    return 0 if large <= LIMIT * small else 1


if __name__ == "__main__":
    sys.exit(main())
