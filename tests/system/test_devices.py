"""The network card in the shapes that QEMU can give it: what can be used is, what cannot is named
on the console, and boot goes on either way."""

import json
import os
import socket
import unittest

from guest import Guest, work_folder

CARD = "virtio-net-pci,netdev=net0,romfile="


def machine(card, *more):
    """A guest with this card on the user network, echo forwarded."""
    guest = Guest(boot="pvh", netdev="none", limit=60)
    guest.extra = ["-netdev", f"user,id=net0,hostfwd=udp:127.0.0.1:{guest.echo_port}-:7",
                   *more, "-device", card]
    return guest


class Usable(unittest.TestCase):
    def check(self, guest, *lines):
        with guest:
            guest.wait_console("skep: up")
            for line in lines:
                guest.wait_console(line)
            guest.wait_console("10.0.2.15")
            for _ in range(3):
                self.assertEqual(guest.echo(b"alive"), b"alive")

    def test_modern(self):
        """a modern-only card"""
        self.check(machine(f"{CARD},disable-legacy=on"))

    def test_flags(self):
        """a card without event indices: interrupts and kicks are held off by flags"""
        self.check(machine(f"{CARD},event_idx=off"))

    def test_mtu(self):
        """a card that asks for a smaller MTU"""
        self.check(machine(f"{CARD},host_mtu=1400"), "MTU 1400")

    def test_iommu(self):
        """a card that insists on ACCESS_PLATFORM"""
        self.check(machine(f"{CARD},disable-legacy=on,iommu_platform=on"))

    def test_one_vector(self):
        """a card with one interrupt vector only"""
        self.check(machine(f"{CARD},vectors=1"))

    def test_bridge(self):
        """a card behind a PCI Express root port"""
        self.check(machine(f"{CARD},bus=root1", "-M", "q35", "-device",
                           "pcie-root-port,id=root1,chassis=1"), "virtio-net 01:00.0")

    def test_rng(self):
        """random numbers from virtio-rng, on a CPU that has none"""
        with Guest(boot="pvh", key="none",
                   qemu=["-cpu", "max,-rdrand", "-device", "virtio-rng-pci"]) as guest:
            guest.wait_ready()
            self.assertRegex(guest.console, r"virtio-rng 00:\d\d\.0: gave 48 random bytes")
            self.assertIn("no key given, made one", guest.console)
            self.assertNotIn("random numbers", guest.console)
            self.assertNotIn("are weak", guest.console)

    def test_two(self):
        """two cards"""
        self.check(machine(CARD, "-netdev", "user,id=net1", "-device",
                           "virtio-net-pci,netdev=net1,romfile="), "eth0", "eth1: address")


class Unusable(unittest.TestCase):
    def check(self, guest, line):
        with guest:
            guest.wait_console("skep: up")
            guest.wait_console(line)
            guest.wait_console("running without network")

    def test_none(self):
        """no card at all"""
        self.check(Guest(boot="pvh", netdev="none", limit=60), "no network device")

    def test_legacy(self):
        """a card of before virtio 1.0 is named and left alone"""
        self.check(machine(f"{CARD},disable-modern=on"), "a legacy device is not supported")

    def test_no_msix(self):
        """a card without MSI-X is named and left alone"""
        self.check(machine(f"{CARD},vectors=0"), "has no MSI-X")

    def test_other(self):
        """a virtio device without a driver here is named"""
        self.check(Guest(boot="pvh", netdev="none", limit=60, qemu=["-device", "virtio-balloon-pci"]),
                   "has no driver here")


class Link(unittest.TestCase):
    def test_link(self):
        """a pulled cable is noticed, and plugged in again the guest answers as before"""
        with work_folder() as folder:
            path = os.path.join(folder, "qmp")
            guest = machine(CARD, "-qmp", f"unix:{path},server=on,wait=off")
            with guest:
                guest.wait_console("10.0.2.15")
                with socket.socket(socket.AF_UNIX) as monitor:
                    monitor.settimeout(10)
                    monitor.connect(path)
                    lines = monitor.makefile("rw")
                    lines.readline()
                    self.command(lines, "qmp_capabilities")
                    self.command(lines, "set_link", name="net0", up=False)
                    guest.wait_console("link down")
                    self.command(lines, "set_link", name="net0", up=True)
                answers = (guest.echo(b"again", timeout=1) for _ in range(10))
                self.assertTrue(any(answer == b"again" for answer in answers))

    @staticmethod
    def command(lines, execute, **arguments):
        lines.write(json.dumps({"execute": execute, "arguments": arguments}) + "\n")
        lines.flush()
        while "return" not in json.loads(lines.readline()):
            pass


if __name__ == "__main__":
    unittest.main()
