"""What programs say through perf event arrays and stack traces, read by skepctl."""

import json
import os
import re
import signal
import subprocess
import time
import unittest

from guest import BUILD, SKEPCTL, Guest, compile_program, work_folder

OPENS = 5


class Events(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = work_folder()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.program = compile_program("events", cls.folder.name)
        cls.guest = Guest(boot="pvh", limit=120).__enter__().wait_ready()
        cls.addClassCleanup(cls.guest.end)
        cls.guest.wait_console("10.0.2.15")

    def setUp(self):
        self.guest.skepctl("prog", "load", self.program, "events")
        self.guest.skepctl("prog", "attach", "pinned", "events", "tracepoint",
                           "syscalls:sys_enter_openat")
        self.addCleanup(self.guest.skepctl, "prog", "unload", "pinned", "events")

    def stream(self, *args):
        """What a verb prints that goes on until Ctrl-C, from a second of it."""
        with subprocess.Popen([SKEPCTL, "--target", f"127.0.0.1:{self.guest.port}", *args],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as process:
            time.sleep(1)
            process.send_signal(signal.SIGINT)
            out, error = process.communicate(timeout=10)
        self.assertEqual((process.returncode, error), (0, ""))
        return out

    def open_files(self):
        for _ in range(OPENS):
            self.guest.http_get("/hello.txt")

    def test_event_pipe(self):
        """map event_pipe prints samples as bpftool does: time, CPU, index, the data padded"""
        self.open_files()
        out = self.stream("map", "event_pipe", "name", "samples")
        sample = (r"== @\d+\.\d{9} CPU: 0 index: 0 =====\n"
                  r"6f 70 65 6e 61 74 20 73  65 65 6e 00\s*\n")
        self.assertRegex(out, rf"\A({sample}){{{OPENS}}}\Z")

    def test_event_pipe_json(self):
        """map event_pipe -j: an array of samples, the oldest first"""
        self.open_files()
        samples = json.loads(self.stream("-j", "map", "event_pipe", "name", "samples", "cpu", "0",
                                         "index", "0"))
        self.assertEqual(len(samples), OPENS)
        self.assertEqual({(s["type"], s["cpu"], s["index"]) for s in samples}, {(9, 0, 0)})
        self.assertEqual(bytes(int(b, 16) for b in samples[0]["data"]), b"openat seen\0")
        times = [s["timestamp"] for s in samples]
        self.assertEqual(times, sorted(times))

    def test_stack_traces(self):
        """a trace's id leads to its addresses: the web server's way from a segment to openat"""
        self.open_files()
        symbols = self.symbols()
        counts = {e["formatted"]["key"]: e["formatted"]["value"]
                  for e in self.guest.skepctl_json("map", "dump", "name", "counts")}
        self.assertGreaterEqual(sum(counts.values()), OPENS)
        seen = set()
        for entry in self.guest.skepctl_json("map", "dump", "name", "stacks"):
            key = int.from_bytes(bytes(int(b, 16) for b in entry["key"]), "little")
            value = bytes(int(b, 16) for b in entry["value"])
            self.assertIn(key, counts)
            for at in range(0, len(value), 8):
                address = int.from_bytes(value[at:at + 8], "little")
                if address:
                    seen.add(self.function(symbols, address))
        self.assertLessEqual({"syscall_dispatch", "http_recv", "tcp_input"}, seen)

    @staticmethod
    def symbols():
        text = subprocess.run(["nm", "-n", os.path.join(BUILD, "skep.elf")], capture_output=True,
                              text=True, check=True).stdout
        return [(int(a, 16), name) for a, kind, name in
                re.findall(r"^([0-9a-f]+) ([tT]) (\S+)$", text, re.M)]

    @staticmethod
    def function(symbols, address):
        name = "?"
        for start, symbol in symbols:
            if start > address:
                break
            name = symbol
        return name


if __name__ == "__main__":
    unittest.main()
