"""Hostile and unlucky input on the machine itself: the guest drops, counts, answers, goes on. What
is wrong by its content goes to a guest in plain: with a seal it would not get so far (test_seal.py).
"""

import os
import random
import re
import socket
import struct
import subprocess
import unittest

from ethernet import EthernetHost, UdpBridge
from guest import BUILD, ROOT, Guest, work_folder

WIRE_HEADER = struct.Struct("<IBBHQIIiIHH")  # ebpf/wire.h
MAGIC, REQUEST, MAP_CREATE, HELLO = 0x50454B53, 1, 0, 0x1000


def command_number(name):
    """A command's number as ebpf/commands.h counts them."""
    with open(os.path.join(ROOT, "ebpf", "commands.h"), encoding="utf-8") as file:
        body = re.search(r"enum skep_cmd \{(.*?)\}", file.read(), re.S)[1]
    names = re.findall(r"\bSKEP_\w+", re.sub(r"/\*.*?\*/", "", body, flags=re.S))
    return HELLO + names.index(name)

GUEST4, HOST4, OTHER4 = "192.0.2.2", "192.0.2.1", "192.0.2.9"
STATIC = f"skep.ip={GUEST4} skep.netmask=255.255.255.0 skep.gateway={HOST4}"


def bad_datagrams(guest):
    """What `sys info` says of datagrams that were dropped."""
    return int(re.search(r"bad datagrams (\d+)", guest.skepctl("sys", "info").stdout)[1])


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.guest = Guest(boot="pvh", limit=240, insecure=True).__enter__().wait_ready()

    @classmethod
    def tearDownClass(cls):
        cls.guest.end()

    def send(self, datagrams):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for datagram in datagrams:
                sock.sendto(datagram, ("127.0.0.1", self.guest.port))

    def test_random(self):
        """1,000 random datagrams are dropped and counted; commands go on"""
        rng = random.Random(7)
        before = bad_datagrams(self.guest)
        for _ in range(50):  # paced: what the queue in between drops is not seen by the server
            self.send(rng.randbytes(rng.randint(0, 1472)) for _ in range(20))
            self.guest.skepctl("map", "list")
        self.assertGreaterEqual(bad_datagrams(self.guest) - before, 900)

    def test_lying_headers(self):
        """headers that lie about version, kind, session, lengths and fragments change nothing"""
        rng = random.Random(8)
        before = self.guest.skepctl_json("map", "list")
        for _ in range(40):
            self.send(WIRE_HEADER.pack(
                MAGIC, rng.choice((0, 1, 2, 255)), rng.randrange(6), rng.choice((0, 1)),
                rng.choice((0, 1, rng.getrandbits(64))), rng.getrandbits(32),
                rng.choice((MAP_CREATE, HELLO, rng.randrange(64), 0x1000 + rng.randrange(32))),
                rng.choice((0, -1)), rng.choice((0, 1, 40, 1 << 20, 1 << 24, (1 << 32) - 1)),
                rng.randrange(4), rng.choice((0, 1, 2, 65535))) + rng.randbytes(rng.randrange(200))
                for _ in range(25))
            self.guest.skepctl("sys", "info")
        self.assertEqual(self.guest.skepctl_json("map", "list"), before)

    def test_out_of_memory(self):
        """a map larger than memory is refused with a sentence; the guest goes on"""
        done = self.guest.skepctl("map", "create", "/sys/fs/bpf/huge", "type", "array", "key", 4,
                                  "value", 1024, "entries", 4000000, "name", "huge", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("emory", done.stderr)
        self.guest.skepctl("map", "create", "/sys/fs/bpf/small", "type", "array", "key", 4,
                           "value", 8, "entries", 4, "name", "small")
        self.guest.skepctl("map", "dump", "name", "small")

    def test_memory_comes_back(self):
        """loading and unloading a hundred times leaves as much free memory as before"""
        def free():
            return int(re.search(r"free (\d+)K", self.guest.skepctl("sys", "info").stdout)[1])
        program = os.path.join(BUILD, "progs", "packets.bpf.o")
        self.guest.skepctl("prog", "load", program, "warm")
        self.guest.skepctl("prog", "unload", "pinned", "warm")
        before = free()
        for index in range(100):
            name = f"p{index}"
            self.guest.skepctl("prog", "load", program, name)
            self.guest.skepctl("prog", "attach", "pinned", name, "tracepoint",
                               "virtio_net:receive_packet")
            self.guest.skepctl("prog", "detach", "pinned", name)
            self.guest.skepctl("prog", "unload", "pinned", name)
        self.assertGreaterEqual(free(), before - 256)


class Wired:
    """A guest whose wire a test holds the other end of."""

    insecure = False

    @classmethod
    def setUpClass(cls):
        cls.folder = work_folder()
        cls.host = EthernetHost(cls.folder.name, [HOST4, OTHER4])
        cls.guest = Guest(boot="pvh", append=STATIC, netdev=cls.host.netdev(), limit=240,
                          insecure=cls.insecure).__enter__().wait_ready()
        cls.bridge = UdpBridge(cls.host, HOST4, GUEST4, 9970)
        cls.target = f"127.0.0.1:{cls.bridge.port}"

    @classmethod
    def tearDownClass(cls):
        cls.bridge.close()
        cls.guest.end()
        cls.host.close()
        cls.folder.cleanup()


class LossyWire(Wired, unittest.TestCase):
    """skepctl over a wire that loses and repeats."""

    def test_loss(self):
        """with 20 % loss and 5 % repetition every command completes, and counts are exact"""
        self.host.loss, self.host.duplication = 0.2, 0.05
        try:
            self.guest.skepctl("map", "create", "/sys/fs/bpf/lossy", "type", "hash", "key", 4,
                               "value", 8, "entries", 64, "name", "lossy", target=self.target)
            for key in range(20):
                self.guest.skepctl("map", "update", "name", "lossy", "key", key, 0, 0, 0, "value",
                                   key, 0, 0, 0, 0, 0, 0, 0, "noexist", target=self.target)
            dump = self.guest.skepctl_json("map", "dump", "name", "lossy", target=self.target)
        finally:
            self.host.loss = self.host.duplication = 0.0
        self.assertEqual(sorted(int(entry["key"][0], 16) for entry in dump), list(range(20)))


class ForgingWire(Wired, unittest.TestCase):
    """In plain, a session's number can be read on the way; still it is of no use elsewhere."""

    insecure = True

    def test_session_belongs_to_its_address(self):
        """a datagram with a live session's number from another address is not obeyed"""
        seen = []
        original = self.host.send_udp

        def spy(src, sport, dst, dport, payload):
            seen.append(payload)
            original(src, sport, dst, dport, payload)
        self.host.send_udp = spy
        tracelog = subprocess.Popen(
            [os.path.join(BUILD, "skepctl"), "--insecure", "--target", self.target, "prog",
             "tracelog"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self.assertIsNotNone(self.host.wait(
                lambda: any(len(p) > 36 and WIRE_HEADER.unpack(p[:36])[4] for p in seen), 5))
            session = next(WIRE_HEADER.unpack(p[:36])[4] for p in seen
                           if WIRE_HEADER.unpack(p[:36])[4])
            power_off = struct.pack("<II", 0, 0)
            forged = struct.pack("<I", len(power_off)) + power_off
            for sequence in range(1, 60):
                original(OTHER4, 5555, GUEST4, 9970, WIRE_HEADER.pack(
                    MAGIC, 1, REQUEST, 0, session, sequence, command_number("SKEP_POWER"), 0, len(forged), 0, 1) + forged)
            self.guest.skepctl("map", "list", target=self.target)
            self.assertIsNone(self.guest.process.poll())
            self.guest.skepctl("sys", "info", target=self.target)
        finally:
            tracelog.terminate()
            tracelog.wait()
            self.host.send_udp = original


if __name__ == "__main__":
    unittest.main()
