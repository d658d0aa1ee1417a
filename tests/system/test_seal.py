"""The sealed wire on the machine itself: who has the key commands it, and nobody else is heard."""

import os
import random
import re
import shutil
import struct
import subprocess
import sys
import time
import unittest

from guest import BUILD, ROOT, Guest, work_folder
from proxy import UdpProxy

SEAL_HEADER = struct.Struct("<IBBHQQ")  # ebpf/wire.h: magic version kind reserved session counter
MAGIC, SEALED, REQUEST = 0x50454B53, 2, 1
FLOOD = int(os.environ.get("FLOOD", "100000"))

# Sends N datagrams to a port, at a pace that the machine's queue nearly keeps up with: noise, hellos
# that no key made, and datagrams that claim to be of a session.
FLOODER = """
import os, random, socket, struct, sys, time
port, count, session = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
rng = random.Random(5)
header = struct.Struct("<IBBHQQ")
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for index in range(count):
    body = os.urandom(rng.choice((0, 40, 212, 1440)))
    kind = index % 4
    if kind == 1:
        body = header.pack(0x50454B53, 2, 1, 0, 0, index) + body
    elif kind == 2:
        body = header.pack(0x50454B53, 2, rng.choice((1, 3)), 0, session, index) + body
    sock.sendto(body[:1472], ("127.0.0.1", port))
    if index % 32 == 31:
        time.sleep(0.001)
print(count)
"""


def counts(guest):
    """What `sys info` says of sealed datagrams."""
    info = guest.skepctl_json("sys", "info")
    return {name: info[name] for name in ("datagrams_opened", "datagrams_unopened",
                                          "datagrams_replayed", "hellos_limited", "sessions")}


def session_of(datagram):
    """The session that a sealed datagram names in clear; 0 for a hello."""
    magic, version, _, _, session, _ = SEAL_HEADER.unpack(datagram[:SEAL_HEADER.size])
    return session if (magic, version) == (MAGIC, SEALED) else None


def environment():
    """Without a key of the caller's own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SKEP_")}


class Keys(unittest.TestCase):
    """Where the guest has its key from, and what a client without it hears."""

    def fails(self, guest, *access):
        done = guest.skepctl("sys", "info", access=(*access, "--timeout", "1"), check=False)
        self.assertEqual(done.returncode, 255, done.stdout)
        return done.stderr

    def test_wrong_key(self):
        """a client with another key hears nothing, and the guest counts what did not open"""
        with Guest(boot="pvh") as guest:
            guest.wait_ready()
            said = self.fails(guest, "--key", "ab" * 32)
            self.assertRegex(said, r"no answer from .* within 1 s: .*the key \(--key\) is not the "
                                   r"guest's")
            said = self.fails(guest, "--insecure")
            self.assertIn("it is sealed and wants a key", said)
            self.assertGreater(counts(guest)["datagrams_unopened"], 0)
            self.assertNotIn("made one", guest.console)

    def test_no_key(self):
        """a guest without a key makes one, says it on its console, and obeys who has it"""
        with Guest(boot="pvh", key="none") as guest, work_folder() as folder:
            guest.wait_ready()
            key = re.search(r"no key given, made one: ([0-9a-f]{64}); give it to skepctl with --key",
                            guest.console)[1]
            self.assertIn("sealed", guest.skepctl("sys", "info", access=("--key", key)).stdout)
            path = os.path.join(folder, "key")
            with open(path, "wb") as file:
                file.write(bytes.fromhex(key))
            guest.skepctl("sys", "info", access=("--key", path))
            client = os.path.join(folder, "skepctl")  # with no skep.key beside it
            shutil.copy(os.path.join(BUILD, "skepctl"), client)
            done = subprocess.run([client, "--target", f"127.0.0.1:{guest.port}", "sys", "info"],
                                  capture_output=True, text=True, timeout=20, env=environment())
            self.assertEqual(done.returncode, 255)
            self.assertIn("no key: give the guest's with --key FILE", done.stderr)

    def test_keys_differ(self):
        """two guests that make their keys make different ones"""
        found = set()
        for _ in range(2):
            with Guest(boot="pvh", key="none") as guest:
                guest.wait_ready()
                found.add(re.search(r"made one: ([0-9a-f]{64});", guest.console)[1])
        self.assertEqual(len(found), 2)

    def test_weak_key(self):
        """a key made without good random numbers is said to be guessable"""
        with Guest(boot="pvh", key="none", qemu=["-cpu", "max,-rdrand"]) as guest:
            guest.wait_ready()
            self.assertIn("no good random numbers; a made key can be guessed", guest.console)

    def test_bad_key(self):
        """what is given as a key and is none is named, and a key is made"""
        with work_folder() as folder:
            path = os.path.join(folder, "key")
            with open(path, "w", encoding="ascii") as file:
                file.write("too short")
            with Guest(boot="pvh", key=path) as guest:
                guest.wait_ready()
                self.assertIn("fw_cfg opt/skep/key is no key", guest.console)
                self.assertIn("made one", guest.console)

    def test_module(self):
        """through GRUB, the key comes as the module "key" """
        with work_folder() as folder:
            key = os.path.join(folder, "skep.key")
            subprocess.run([os.path.join(ROOT, "scripts", "key"), key], check=True)
            subprocess.run([os.path.join(ROOT, "scripts", "mkiso"),
                            os.path.join(folder, "skep.iso"), os.path.join(BUILD, "skep.elf"),
                            os.path.join(BUILD, "initrd.tar"), "", key], check=True)
            with Guest(boot="iso", build=folder, key="none") as guest:
                guest.wait_ready()
                self.assertIn('the key is that of the module "key"', guest.console)
                guest.skepctl("sys", "info", access=("--key", key))

    def test_insecure(self):
        """in plain only when both ends are told so"""
        with Guest(boot="pvh", insecure=True) as guest:
            guest.wait_ready()
            self.assertIn("insecure, as the command line says", guest.console)
            self.assertIn("in plain", guest.skepctl("sys", "info").stdout)
            done = guest.skepctl("sys", "info", access=("--key", guest.key), check=False)
            self.assertEqual(done.returncode, 255)
            self.assertRegex(done.stderr, r"speaks in plain \(.*skep.insecure=1\): give --insecure")


class Wire(unittest.TestCase):
    """What somebody on the way can do."""

    @classmethod
    def setUpClass(cls):
        cls.guest = Guest(boot="pvh", limit=240 + FLOOD // 5000).__enter__().wait_ready()

    @classmethod
    def tearDownClass(cls):
        cls.guest.end()

    def through(self, proxy, *args, **options):
        return self.guest.skepctl(*args, target=f"127.0.0.1:{proxy.port}", **options)

    def test_nothing_in_clear(self):
        """what a client says is not to be read on the way"""
        with UdpProxy(self.guest.port) as proxy:
            self.through(proxy, "map", "create", "/sys/fs/bpf/secret_name", "type", "array", "key",
                         4, "value", 8, "entries", 1, "name", "secret_name")
            self.through(proxy, "map", "list")
            self.assertGreater(len(proxy.requests), 5)
            self.assertNotIn(b"secret", b"".join(proxy.requests))

    def test_replay(self):
        """recorded datagrams are obeyed no second time, in their session and after it"""
        create = ["map", "create", "/sys/fs/bpf/once", "type", "hash", "key", 4, "value", 8,
                  "entries", 8, "name", "once"]
        with UdpProxy(self.guest.port) as proxy:
            self.through(proxy, *create)
            self.guest.skepctl("map", "delete", "name", "once", "key", *"0000", check=False)
            before, maps = counts(self.guest), self.guest.skepctl_json("map", "list")
            for datagram in list(proxy.requests):  # of a session that has ended
                proxy.send_to_guest(datagram)
            command = [os.path.join(BUILD, "skepctl"), "--key", self.guest.key, "--target",
                       f"127.0.0.1:{proxy.port}", "prog", "tracelog"]
            with subprocess.Popen(command, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL) as tracelog:
                try:
                    time.sleep(1.5)
                    live = [d for d in list(proxy.requests) if session_of(d)]
                    live = [d for d in live if session_of(d) == session_of(live[-1])]
                    for datagram in live * 5:
                        proxy.send_to_guest(datagram)
                    time.sleep(0.3)
                    after = counts(self.guest)
                finally:
                    tracelog.terminate()
        self.assertGreaterEqual(len(live), 3)
        self.assertGreaterEqual(after["datagrams_replayed"] - before["datagrams_replayed"],
                                len(live))
        self.assertEqual(self.guest.skepctl_json("map", "list"), maps)

    def test_bit_flips(self):
        """with one datagram in five damaged on its way, commands complete and counts are exact"""
        rng = random.Random(6)

        def damage(datagram, _):
            if rng.random() < 0.2:
                at = rng.randrange(len(datagram) * 8)
                datagram = bytearray(datagram)
                datagram[at // 8] ^= 1 << at % 8
            return [bytes(datagram)]
        before = counts(self.guest)
        with UdpProxy(self.guest.port, damage) as proxy:
            self.through(proxy, "map", "create", "/sys/fs/bpf/flips", "type", "hash", "key", 4,
                         "value", 8, "entries", 64, "name", "flips")
            for key in range(10):
                self.through(proxy, "map", "update", "name", "flips", "key", key, 0, 0, 0, "value",
                             key, 0, 0, 0, 0, 0, 0, 0, "noexist")
            dump = self.through(proxy, "-j", "map", "dump", "name", "flips").stdout
        self.assertEqual(dump.count('"key"'), 10 * (1 + dump.count('"formatted"') // 10))
        self.assertGreater(counts(self.guest)["datagrams_unopened"], before["datagrams_unopened"])

    def test_flood(self):
        """while garbage floods the port, a client's commands complete; nothing of it is answered"""
        before = counts(self.guest)
        maps = self.guest.skepctl_json("map", "list")
        with UdpProxy(self.guest.port) as proxy:
            self.through(proxy, "sys", "info")
            session = next(filter(None, map(session_of, proxy.requests)))
        with subprocess.Popen([sys.executable, "-c", FLOODER, str(self.guest.port), str(FLOOD),
                               str(session)], stdout=subprocess.PIPE, text=True) as flooder:
            try:
                commands = 0
                while flooder.poll() is None:
                    self.assertEqual(self.guest.skepctl_json("map", "list"), maps)
                    commands += 1
            finally:
                flooder.kill()
            self.assertEqual(flooder.stdout.read(), f"{FLOOD}\n")
        self.assertGreater(commands, 3)
        after = counts(self.guest)
        self.assertGreater(after["datagrams_unopened"] - before["datagrams_unopened"], FLOOD // 50)
        self.assertEqual(after["hellos_limited"], before["hellos_limited"])
        self.assertLessEqual(after["sessions"], 1)


if __name__ == "__main__":
    unittest.main()
