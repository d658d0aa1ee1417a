"""Events without programs: static keys in the text, formats, the trace pipe."""

import re
import subprocess
import tempfile
import time
import unittest

from guest import SKEPCTL, Guest

# A trace pipe line: comm-pid [cpu] flags seconds.micros: text
LINE = re.compile(r"^ *(?P<comm>.{1,16})-(?P<pid>\d+) +\[000\] [.dh0-9]{5} +\d+\.\d{6}: "
                  r"(?P<text>.*)$")

OPENAT_FORMAT = """\
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;
\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:int __syscall_nr;\toffset:8;\tsize:4;\tsigned:1;
\tfield:int dfd;\toffset:16;\tsize:8;\tsigned:0;
\tfield:const char * filename;\toffset:24;\tsize:8;\tsigned:0;
\tfield:int flags;\toffset:32;\tsize:8;\tsigned:0;
\tfield:umode_t mode;\toffset:40;\tsize:8;\tsigned:0;

print fmt: "dfd: 0x%08lx, filename: 0x%08lx, flags: 0x%08lx, mode: 0x%08lx", \
((unsigned long)(REC->dfd)), ((unsigned long)(REC->filename)), ((unsigned long)(REC->flags)), \
((unsigned long)(REC->mode))
"""


class StaticKeys(unittest.TestCase):
    def test_instruction_bytes(self):
        """each branch on a tracepoint is a 5-byte NOP while off and a jump while on"""
        with Guest(boot="pvh", append="skep.test=static-keys") as guest:
            guest.wait_console("each a 5-byte NOP when off")
        found = re.search(r"static keys: (\d+) tracepoints, (\d+) branches", guest.console)
        tracepoints, branches = map(int, found.groups())
        self.assertGreaterEqual(branches, tracepoints - 1)  # exit does not return: no sys_exit_exit
        self.assertGreater(tracepoints, 20)


class TracePipe(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.guest = Guest(boot="pvh", limit=180).__enter__().wait_ready()
        cls.guest.wait_console("10.0.2.15")

    @classmethod
    def tearDownClass(cls):
        cls.guest.end()

    def hits(self, name):
        for event in self.guest.skepctl_json("tracepoint", "list"):
            if f"{event['system']}:{event['name']}" == name:
                return event["hits"]
        self.fail(f"{name} is not listed")

    def read_pipe(self, enough, readers=1):
        """The lines that each of several readers at once prints, all since boot, until enough(lines)
        holds for all of them."""
        command = [SKEPCTL, "--target", f"127.0.0.1:{self.guest.port}", "prog", "tracelog"]
        outputs = [tempfile.TemporaryFile("w+") for _ in range(readers)]
        logs = [subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output,
                                 stderr=subprocess.STDOUT) for output in outputs]
        deadline = time.monotonic() + 10
        lines = [[]]
        try:
            while not all(map(enough, lines)) and time.monotonic() < deadline:
                time.sleep(0.1)
                lines = []
                for output in outputs:
                    output.seek(0)
                    lines.append(output.read().splitlines())
        finally:
            for log, output in zip(logs, outputs):
                log.terminate()
                log.wait()
                output.close()
        return lines

    def test_format(self):
        """the format text of sys_enter_openat is Linux's to the letter"""
        text = self.guest.skepctl("tracepoint", "format", "syscalls:sys_enter_openat").stdout
        self.assertRegex(text, r"\Aname: sys_enter_openat\nID: \d+\nformat:\n")
        self.assertEqual(text.split("\n", 2)[2].rstrip("\n"), OPENAT_FORMAT.rstrip("\n"))

    def test_openat_in_the_pipe(self):
        """enabled system call events appear as Linux prints them, and stop when disabled"""
        names = "syscalls:sys_enter_openat", "syscalls:sys_exit_openat"
        before = self.hits(names[0])
        for name in names:
            self.guest.skepctl("tracepoint", "enable", name)
        self.guest.http_get("/hello.txt")
        for name in names:
            self.guest.skepctl("tracepoint", "disable", name)
        self.guest.http_get("/hello.txt")
        self.assertEqual(self.hits(names[0]), before + 1)
        (lines,) = self.read_pipe(lambda lines: any("sys_openat ->" in line for line in lines))
        for line in lines:
            self.assertRegex(line, LINE)
        found = [LINE.match(line)["text"] for line in lines if "sys_openat" in line]
        self.assertEqual(len(found), 2, found)
        self.assertRegex(found[0], r"^sys_openat\(dfd: ffffff9c, filename: [0-9a-f]+, flags: 0, mode: 0\)$")
        self.assertRegex(found[1], r"^sys_openat -> 0x[0-9a-f]+$")

    def test_several_readers(self):
        """two readers of the trace pipe each see every event"""
        before = self.hits("syscalls:sys_enter_close")
        self.guest.skepctl("tracepoint", "enable", "syscalls:sys_enter_close")
        for _ in range(5):
            self.guest.http_get("/hello.txt")
        self.guest.skepctl("tracepoint", "disable", "syscalls:sys_enter_close")
        self.assertEqual(self.hits("syscalls:sys_enter_close"), before + 5)

        def closes(lines):
            return [line for line in lines if "sys_close(" in line]
        first, second = self.read_pipe(lambda lines: len(closes(lines)) == 5, readers=2)
        self.assertEqual(len(closes(first)), 5)
        self.assertEqual(closes(first), closes(second))

    def test_quiet_when_idle(self):
        """an idle machine is quiet: watching its thread switches makes no more of them"""
        time.sleep(4)  # what the boot and earlier tests began comes to rest
        self.guest.skepctl("tracepoint", "enable", "sched:sched_switch")
        first, second = (self.hits("sched:sched_switch") for _ in range(2))
        asking = second - first
        time.sleep(5)
        idle = self.hits("sched:sched_switch") - second - asking
        self.guest.skepctl("tracepoint", "disable", "sched:sched_switch")
        # A server that its own switches wake makes thousands; a loaded host adds a few tens.
        self.assertLess(idle, 1000, f"in 5 seconds; asking makes {asking}")

    def test_unknown_tracepoint(self):
        """an unknown tracepoint is refused by name"""
        refused = self.guest.skepctl("tracepoint", "enable", "no:such", check=False)
        self.assertEqual(refused.returncode, 255)
        self.assertIn("no:such", refused.stderr)


if __name__ == "__main__":
    unittest.main()
