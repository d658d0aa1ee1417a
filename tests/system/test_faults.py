"""What the machine must not let pass, by kernel/selftest.c: each fault ends in a panic that names it."""

import unittest

from guest import EXIT_PANIC, Guest


class Faults(unittest.TestCase):
    def panics(self, test, *expected):
        with Guest(boot="pvh", append=f"skep.test={test}", limit=60) as guest:
            self.assertEqual(guest.wait_exit(60), EXIT_PANIC)
        for pattern in expected:
            self.assertRegex(guest.console, pattern)

    def test_text_write(self):
        """kernel text cannot be written"""
        self.panics("text-write", r"exception at selftest_text_write\+", r"write to .*rights forbid",
                    r"[0-9a-f]{16} selftest_run\+", r"[0-9a-f]{16} kernel_main\+")

    def test_rodata_write(self):
        """constants cannot be written"""
        self.panics("rodata-write", r"exception at selftest_rodata_write\+",
                    r"write to .*rights forbid")

    def test_data_execute(self):
        """data cannot be executed, and the backtrace names the caller"""
        self.panics("data-execute", r"execution of .*rights forbid",
                    r"[0-9a-f]{16} selftest_data_execute\+")

    def test_stack_overflow(self):
        """a stack that is too small runs into its guard page: a double fault on a stack of its own"""
        self.panics("stack-overflow", r"double fault", r"exception at recurse\+")

    def test_thread_overflow(self):
        """a thread's stack ends at a guard page too"""
        self.panics("thread-overflow", r"double fault", r"exception at recurse\+",
                    r"thread: overflow \(")

    def test_assert(self):
        """a broken invariant prints the values that broke it"""
        self.panics("assert", r"assertion failed: .*skep\.no-such-flag.*: flag 0",
                    r"[0-9a-f]{16} selftest_assert\+")

    def test_safe_access(self):
        """fault-safe accesses return EFAULT, and patching text works where writing does not"""
        with Guest(boot="pvh", append="skep.test=safe-access", limit=60) as guest:
            guest.wait_console("null -14, non-canonical -14, text -14, good 0")

    def test_without_nx(self):
        """a CPU without no-execute pages gets a sentence"""
        with Guest(boot="pvh", qemu=["-cpu", "max,-nx"], limit=60) as guest:
            guest.wait_console("no NX")
            self.assertEqual(guest.wait_exit(), EXIT_PANIC)


if __name__ == "__main__":
    unittest.main()
