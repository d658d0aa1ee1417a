#!/usr/bin/env python3
"""Boots a guest for objects.c, which makes and ends ten thousand maps and programs in it."""

import os
import subprocess
import sys

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "tests", "system"))

import guest  # noqa: E402


def main():
    program = os.path.join(guest.BUILD, "bench", "guest", "objects")
    with guest.Guest(boot="pvh", limit=300) as machine:
        machine.wait_ready()
        return subprocess.run([program, f"127.0.0.1:{machine.port}"], timeout=280,
                              env=dict(os.environ, SKEP_KEY=machine.key), check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
