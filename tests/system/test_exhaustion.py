"""A machine that has run out of something: it says so, goes on serving, and gets it back."""

import os
import socket
import subprocess
import time
import unittest

from guest import BUILD, Guest, work_folder

PACKETS = os.path.join(BUILD, "progs", "packets.bpf.o")


def large_program(folder):
    """A tracepoint program of some 15,000 instructions, and no maps."""
    path = os.path.join(folder, "large.bpf.o")
    adds = "".join(f"    x += {n};\n" for n in range(5000))
    multiarch = subprocess.run(["gcc", "-print-multiarch"], capture_output=True, text=True,
                               check=True).stdout.strip()
    subprocess.run(["clang", "-g", "-O2", "-target", "bpf", "-idirafter",
                    f"/usr/include/{multiarch}", "-x", "c", "-c", "-o", path, "-"], check=True,
                   text=True, input="#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
                   'SEC("tracepoint/sched/sched_switch") int large(void *ctx)\n'
                   f"{{\n    volatile long x = 0;\n{adds}    return 0;\n}}\n"
                   'char LICENSE[] SEC("license") = "GPL";\n')
    return path


class Memory(unittest.TestCase):
    """A machine of 16 MiB."""

    def setUp(self):
        self.guest = Guest(boot="pvh", limit=180, qemu=["-m", "16"]).__enter__().wait_ready()
        self.addCleanup(self.guest.end)
        self.guest.wait_console("10.0.2.15")

    def free(self):
        return self.guest.skepctl_json("sys", "info")["memory_free"]

    def fill(self, make):
        """make(0), make(1), ... until one is refused for want of memory; how many were not."""
        for count in range(1000):
            done = make(count)
            if done.returncode != 0:
                self.assertEqual(done.returncode, 255, done.stderr)
                self.assertRegex(done.stderr, r"\AError: .*Cannot allocate memory")
                for words in ("'skepctl sys info'", "the guest's memory"):
                    self.assertIn(words, done.stderr)
                self.assertGreater(count, 2)
                return count
        self.fail("memory never ran out")

    def serves(self):
        """Network, files and the clients that look at what is there."""
        self.assertEqual(self.guest.http_get("/hello.txt")[0], 200)
        self.assertEqual(self.guest.echo(b"alive"), b"alive")
        self.guest.skepctl("prog", "list")
        self.guest.skepctl("map", "list")
        self.assertIsNone(self.guest.process.poll())

    def test_maps(self):
        """maps until their memory is used up: a sentence; removed, all of it is back"""
        def create(n):
            return self.guest.skepctl("map", "create", f"m{n}", "type", "array", "key", 4, "value",
                                      1024, "entries", 500, "name", f"m{n}", check=False)
        # The heap keeps the pages that a first one takes beside its map.
        self.assertEqual(create("first").returncode, 0)
        self.guest.skepctl("map", "unpin", "pinned", "mfirst")
        before = self.free()
        count = self.fill(create)
        self.serves()
        for n in range(count):
            self.guest.skepctl("map", "unpin", "pinned", f"m{n}")
        self.assertGreaterEqual(self.free(), before - (64 << 10))

    def test_programs(self):
        """programs until memory is used up: a sentence; unloaded, all of it is back"""
        with work_folder() as folder:
            path = large_program(folder)

            def load(n):
                return self.guest.skepctl("prog", "load", path, f"p{n}", check=False)
            self.assertEqual(load("first").returncode, 0)
            self.guest.skepctl("prog", "unload", "pinned", "pfirst")
            before = self.free()
            count = self.fill(load)
        self.serves()
        for n in range(count):
            self.guest.skepctl("prog", "unload", "pinned", f"p{n}")
        self.assertGreaterEqual(self.free(), before - (64 << 10))

    def test_programs_with_maps(self):
        """a load that fails half way leaves none of its maps behind"""
        def load(n):
            return self.guest.skepctl("prog", "load", PACKETS, f"p{n}", check=False)
        count = self.fill(load)
        self.assertEqual(len(self.guest.skepctl_json("prog", "list")), count)
        self.assertEqual(len(self.guest.skepctl_json("map", "list")), count)
        self.serves()
        self.guest.skepctl("prog", "unload", "pinned", "p0")
        self.guest.skepctl("prog", "load", PACKETS, "again")


class Connections(unittest.TestCase):
    def test_http(self):
        """more open HTTP connections than there is room for: other services go on, and when they close HTTP too"""
        with Guest(boot="pvh", limit=120, qemu=["-m", "16"]) as guest:
            guest.wait_ready().wait_console("10.0.2.15")
            connections = []
            try:
                for n in range(90):
                    connection = socket.create_connection(("127.0.0.1", guest.http_port), 10)
                    connection.settimeout(10)
                    # Half of them stop in the middle of their request.
                    connection.sendall(b"GET /hello.txt HTTP/1.0\r\n" if n % 2 else b"GET /he")
                    connections.append(connection)
                    time.sleep(0.02)  # QEMU accepts them one by one
                    if n % 30 == 0:
                        self.assertEqual(guest.echo(b"alive"), b"alive")
                        guest.skepctl("map", "list")
                self.assertEqual(guest.echo(b"alive"), b"alive")
                guest.skepctl("prog", "load", PACKETS, "p")
                guest.skepctl("prog", "unload", "pinned", "p")
            finally:
                for connection in connections:
                    connection.close()
            for _ in range(30):
                try:
                    status, _ = guest.http_get("/hello.txt", timeout=2)
                    break
                except (OSError, IndexError):
                    status = None
            self.assertEqual(status, 200)


if __name__ == "__main__":
    unittest.main()
