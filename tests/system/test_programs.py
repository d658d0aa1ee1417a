"""Programs at tracepoints of the running machine."""

import os
import re
import signal
import socket
import struct
import subprocess
import threading
import time
import unittest

from guest import BUILD, SKEPCTL, Guest, compile_program, free_port, work_folder

OPENAT = os.path.join(BUILD, "progs", "openat.bpf.o")
PACKETS = os.path.join(BUILD, "progs", "packets.bpf.o")


class Programs(unittest.TestCase):
    def setUp(self):
        self.guest = Guest(boot="pvh", limit=120).__enter__().wait_ready()
        self.addCleanup(self.guest.end)
        self.guest.wait_console("10.0.2.15")

    def load(self, obj, name, tracepoint):
        self.guest.skepctl("prog", "load", obj, name)
        self.guest.skepctl("prog", "attach", "pinned", name, "tracepoint", tracepoint)

    def unload(self, name):
        self.guest.skepctl("prog", "unload", "pinned", name)

    def dump(self, name):
        """Every map of that name, the oldest first: a list of its (key, value) as BTF names them."""
        ids = [m["id"] for m in self.guest.skepctl_json("map", "list") if m.get("name") == name]
        return [[(e["formatted"].get("key"), e["formatted"]["value"])
                 for e in self.guest.skepctl_json("map", "dump", "id", map_id)]
                for map_id in sorted(ids)]

    def opens(self):
        """For each openat program, in the order of loading: how often /hello.txt was opened."""
        return [dict((key["name"], value) for key, value in elements).get("/hello.txt", 0)
                for elements in self.dump("opens")]

    def nothing_left(self):
        for kind in "prog", "map", "link":
            self.assertEqual(self.guest.skepctl_json(kind, "list"), [], kind)
        for event in self.guest.skepctl_json("tracepoint", "list"):
            self.assertEqual(event["progs"], 0, event["name"])

    def test_several_programs(self):
        """several programs on one tracepoint count alike; one detached, the other goes on"""
        self.load(OPENAT, "one", "syscalls:sys_enter_openat")
        self.guest.http_get("/hello.txt")
        self.load(OPENAT, "two", "syscalls:sys_enter_openat")
        for _ in range(4):
            self.guest.http_get("/hello.txt")
        self.assertEqual(self.opens(), [5, 4])
        self.guest.skepctl("prog", "detach", "pinned", "one", "tracepoint",
                           "syscalls:sys_enter_openat")
        self.guest.http_get("/hello.txt")
        self.assertEqual(self.opens(), [5, 5])
        log = self.trace_pipe_until(lambda text: text.count("bpf_trace_printk: openat /hello.txt") == 10)
        self.assertEqual(log.count("bpf_trace_printk: openat /hello.txt"), 10)
        self.unload("one")
        self.unload("two")
        self.nothing_left()

    def trace_pipe_until(self, enough):
        with subprocess.Popen([SKEPCTL, "--target", f"127.0.0.1:{self.guest.port}", "prog",
                               "tracelog"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True) as log:
            stop = threading.Timer(10, log.terminate)
            stop.start()
            text = ""
            for line in log.stdout:
                text += line
                if enough(text):
                    break
            stop.cancel()
            log.terminate()
            return text

    def test_attach_and_detach_under_load(self):
        """attaching and detaching while packets flow loses no event of another program"""
        self.load(PACKETS, "stays", "virtio_net:receive_packet")
        self.guest.skepctl("prog", "load", PACKETS, "comes-and-goes")
        port, sent = free_port(socket.SOCK_DGRAM), 0
        rounds = threading.Thread(target=self.attach_and_detach, args=(20,))
        rounds.start()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", port))
            sock.settimeout(5)
            while rounds.is_alive() or sent < 100:
                sock.sendto(b"x", ("127.0.0.1", self.guest.echo_port))
                sock.recv(16)
                sent += 1
        rounds.join()
        self.assertIsNone(self.failure)
        stays, other = [{key["port"]: value["packets"] for key, value in elements}
                        for elements in self.dump("packets")]
        self.assertEqual(stays[port], sent)
        self.assertGreater(other[port], 0)
        self.assertLessEqual(other[port], sent)
        self.unload("stays")
        self.unload("comes-and-goes")
        self.nothing_left()

    failure = None

    def attach_and_detach(self, times):
        try:
            for _ in range(times):
                for verb in "attach", "detach":
                    self.guest.skepctl("prog", verb, "pinned", "comes-and-goes", "tracepoint",
                                       "virtio_net:receive_packet")
        except Exception as error:  # reported by the test's own thread
            self.failure = error

    def test_inside_the_scheduler(self):
        """programs at sched_switch, raw and not, see each switch once; their records arrive"""
        with work_folder() as folder:
            obj = compile_program("sched_switch", folder)
            run = subprocess.Popen([SKEPCTL, "--target", f"127.0.0.1:{self.guest.port}", "run", obj],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True)
            try:
                time.sleep(2)
                (((_, value),),) = self.dump("sched_sw.bss")
            finally:
                run.send_signal(signal.SIGINT)
                output = run.communicate(timeout=10)[0]
        counts = {name: count for entry in value[".bss"] for name, count in entry.items()}
        self.assertGreater(counts["switches"], 10)
        self.assertEqual(counts["other_pid"], 0)
        # One program was attached some switches before the other.
        self.assertGreater(counts["raw_switches"], 10)
        self.assertLess(abs(counts["raw_switches"] - counts["switches"]), 200)
        records = re.findall(r"^events: 8B: ((?:[0-9a-f]{2} ?){8})$", output, re.MULTILINE)
        pids = [struct.unpack("<ii", bytes.fromhex(record)) for record in records]
        self.assertGreater(len(pids), 10, output[:500])
        # Whom a switch goes to is whom the next one comes from.
        for (_, to), (again, _) in zip(pids, pids[1:]):
            self.assertEqual(to, again)
        self.nothing_left()


if __name__ == "__main__":
    unittest.main()
