"""Ways into the machine and out of it."""

import unittest

from guest import EXIT_PANIC, EXIT_POWER_OFF, Guest


class Boot(unittest.TestCase):
    def boots_and_powers_off(self, boot):
        with Guest(boot=boot) as guest:
            guest.wait_ready()
            guest.skepctl("sys", "poweroff")
            self.assertEqual(guest.wait_exit(), EXIT_POWER_OFF)
            return guest.console

    def test_iso(self):
        """the ISO boots through GRUB, serves, and powers off on command"""
        self.assertIn("GRUB", self.boots_and_powers_off("iso"))

    def test_pvh(self):
        """the same ELF boots by `qemu -kernel` through its PVH note"""
        self.assertIn("PVH", self.boots_and_powers_off("pvh"))

    def test_null_read_panics(self):
        """a null-pointer read panics with the reason, a symbol and exit status 99"""
        with Guest(boot="pvh", append="skep.test=null-read") as guest:
            self.assertEqual(guest.wait_exit(60), EXIT_PANIC)
        self.assertIn("not present", guest.console)
        self.assertRegex(guest.console, r"selftest_\w+\+0x[0-9a-f]+")

    def test_no_long_mode(self):
        """a CPU without long mode gets a sentence on the serial port"""
        with Guest(boot="iso", qemu=["-cpu", "qemu32"]) as guest:
            guest.wait_console("long mode", 60)

    def test_no_network_card(self):
        """without a network card the boot goes on and says what is missing"""
        with Guest(boot="pvh", netdev="none") as guest:
            guest.wait_console("no network device", 60)

    def test_little_memory(self):
        """a machine with 32 MiB boots and serves"""
        with Guest(boot="pvh", qemu=["-m", "32"]) as guest:
            guest.wait_ready()
            guest.skepctl("sys", "poweroff")
            self.assertEqual(guest.wait_exit(), EXIT_POWER_OFF)


if __name__ == "__main__":
    unittest.main()
