"""What only the real machine shows of kernel/: preemption, and the application that is linked in."""

import unittest

from guest import Guest


class Kernel(unittest.TestCase):
    def test_threads(self):
        """priorities, turns, waiting and timers (kernel/selftest_threads.c)"""
        with Guest(boot="pvh", append="skep.test=threads", limit=60) as guest:
            guest.wait_console("selftest: threads: 9 checks good")

    def test_application(self):
        """the application gets its arguments, and reads its files by system calls"""
        with Guest(boot="pvh", append='skep.args="one two"', limit=60) as guest:
            guest.wait_console("the default application, process 1 one two")
            self.assertIn("a unikernel that you can look into", guest.console)
            guest.wait_console("app: ended with status 0")


if __name__ == "__main__":
    unittest.main()
