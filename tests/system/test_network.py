"""The network as another machine sees it: user network for services, frames for the rest."""

import os
import random
import unittest

from ethernet import ETH_IPV4, EthernetHost, ip, udp
from guest import ROOT, Guest, work_folder

FILES = os.path.join(ROOT, "user", "app", "files")

GUEST4, HOST4, OTHERS4 = "192.0.2.2", "192.0.2.1", ["192.0.2.77", "192.0.2.78"]
GUEST6, HOST6 = "2001:db8::2", "2001:db8::1"
STATIC = (f"skep.ip={GUEST4} skep.netmask=255.255.255.0 skep.gateway={HOST4} "
          f"skep.ip6={GUEST6}")
ECHO = 7


def file_bytes(name):
    with open(os.path.join(FILES, name), "rb") as file:
        return file.read()


class Services(unittest.TestCase):
    """Echo, HTTP and TFTP behind QEMU's user network, address from DHCP."""

    @classmethod
    def setUpClass(cls):
        cls.guest = Guest(boot="pvh", limit=180).__enter__().wait_ready()

    @classmethod
    def tearDownClass(cls):
        cls.guest.end()

    def test_dhcp(self):
        """DHCP gives the address that QEMU's server hands out"""
        self.guest.wait_console("10.0.2.15")

    def test_echo(self):
        """UDP echo returns every size up to a full datagram, byte for byte"""
        for size in (1, 2, 63, 64, 512, 1471, 1472):
            payload = random.Random(size).randbytes(size)
            self.assertEqual(self.guest.echo(payload), payload, f"{size} bytes")

    def test_http(self):
        """HTTP serves a file of the initrd byte for byte"""
        self.assertEqual(self.guest.http_get("/hello.txt"), (200, file_bytes("hello.txt")))

    def test_http_root(self):
        """HTTP serves index.html for /"""
        self.assertEqual(self.guest.http_get("/"), (200, file_bytes("index.html")))

    def test_http_missing(self):
        """HTTP answers 404 for a file that is not there"""
        self.assertEqual(self.guest.http_get("/no-such-file")[0], 404)

    def test_tftp(self):
        """TFTP reads a file byte for byte"""
        self.assertEqual(self.guest.tftp_get("hello.txt"), file_bytes("hello.txt"))

    def test_tftp_missing(self):
        """TFTP answers with an error for a file that is not there"""
        with self.assertRaises(OSError):
            self.guest.tftp_get("no-such-file")


class Frames(unittest.TestCase):
    """A neighbour made of frames: IPv6, several sources, loss, odd frames."""

    @classmethod
    def setUpClass(cls):
        cls.folder = work_folder()
        cls.host = EthernetHost(cls.folder.name, [HOST4, HOST6] + OTHERS4)
        cls.guest = Guest(boot="pvh", append=STATIC, netdev=cls.host.netdev(),
                          limit=180).__enter__().wait_ready()

    @classmethod
    def tearDownClass(cls):
        cls.guest.end()
        cls.host.close()
        cls.folder.cleanup()

    def echoed(self, src, dst, sport, payload, tries=20):
        for _ in range(tries):
            self.host.send_udp(src, sport, dst, ECHO, payload)
            answer = self.host.take_datagram(sport, 0.5)
            if answer:
                return answer
        return None

    def test_ping(self):
        """ICMP echo over IPv4 is answered with the same bytes"""
        payload = bytes(range(56))
        for sequence in range(10):
            self.host.ping(HOST4, GUEST4, 77, sequence, payload)
            if self.host.wait(lambda: (GUEST4, 77, sequence, payload) in self.host.echoes, 1):
                return
        self.fail("no answer to ten pings")

    def test_ping6(self):
        """ICMPv6 echo is answered with the same bytes"""
        payload = bytes(range(56))
        for sequence in range(20):
            self.host.ping(HOST6, GUEST6, 78, sequence, payload)
            if self.host.wait(lambda: (GUEST6, 78, sequence, payload) in self.host.echoes, 1):
                return
        self.fail("no answer to twenty pings")

    def test_udp6(self):
        """UDP echo over IPv6"""
        self.assertEqual(self.echoed(HOST6, GUEST6, 4001, b"six"),
                         (GUEST6, ECHO, HOST6, 4001, b"six"))

    def test_sources(self):
        """datagrams from several source addresses are answered to each of them"""
        for index, source in enumerate([HOST4] + OTHERS4):
            port = 4100 + index
            self.assertEqual(self.echoed(source, GUEST4, port, source.encode()),
                             (GUEST4, ECHO, source, port, source.encode()))

    def test_odd_frames(self):
        """short, oversized, lying and random frames are dropped; the guest keeps serving"""
        rng = random.Random(3)
        good = ip(HOST4, GUEST4, 17, udp(HOST4, GUEST4, 4200, ECHO, b"good"))
        header = self.host._ethernet(ETH_IPV4, b"")
        for size in (1, 6, 13, 14, 15, 33, 34):
            self.host.send_frame((header + good)[:size])
        self.host.send_frame(header + good + b"\0" * 3000)
        for _ in range(300):
            packet = bytearray(good)
            for _ in range(rng.randint(1, 6)):
                packet[rng.randrange(len(packet))] = rng.randrange(256)
            self.host.send_frame(header + bytes(packet))
            self.host.send_frame(rng.randbytes(rng.randint(1, 1600)))
        self.assertIsNotNone(self.echoed(HOST4, GUEST4, 4201, b"alive"))

    def test_loss(self):
        """a wire that loses and repeats one frame in five still carries echo, datagram by datagram"""
        self.host.loss = self.host.duplication = 0.2
        try:
            for index in range(20):
                payload = str(index).encode()
                self.assertIsNotNone(self.echoed(HOST4, GUEST4, 4300 + index, payload))
        finally:
            self.host.loss = self.host.duplication = 0.0


if __name__ == "__main__":
    unittest.main()
