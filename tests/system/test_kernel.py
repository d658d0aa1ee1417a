"""What only the real machine shows of kernel/: preemption, and the application that is linked in."""

import os
import shutil
import subprocess
import time
import unittest

from guest import BUILD, ROOT, Guest, work_folder


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


class Application(unittest.TestCase):
    """APP=: another application, from a folder outside of the tree."""

    SOURCE = r'''
        #include "user/app/skep_app.h"

        int app_main(int argc, char **argv)
        {
            char line[64];

            app_printf("%s: elsewhere, %d arguments\n", argv[0], argc - 1);
            for (;;) {
                int fd = app_open("/hello.txt", O_RDONLY, 0);
                long n = app_read(fd, line, sizeof(line));

                app_close(fd);
                if (app_open("/no/such/file", O_RDONLY, 0) != -ENOENT || n <= 0)
                    return 1;
                app_sleep_ms(50);
            }
        }
    '''

    def make(self, folder, app):
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith("MAKE") and name != "MFLAGS"}
        return subprocess.run(["make", "-j2", "iso", f"APP={app}", f"O={folder}/build"], cwd=ROOT,
                              env=environment, capture_output=True, text=True, timeout=300)

    def test_elsewhere(self):
        """APP= links an application from another folder: its output shows, and its opens are traced by name"""
        with work_folder() as folder:
            app = os.path.join(folder, "app")
            os.mkdir(app)
            with open(os.path.join(app, "main.c"), "w", encoding="utf-8") as file:
                file.write(self.SOURCE)
            for part in "guest", "uapi":  # the kernel is compiled already
                shutil.copytree(os.path.join(BUILD, part), os.path.join(folder, "build", part))
            made = self.make(folder, app)
            self.assertEqual(made.returncode, 0, made.stdout + made.stderr)
            with Guest(boot="iso", build=f"{folder}/build", append='skep.args="a b"') as guest:
                guest.wait_ready().wait_console("app: elsewhere, 2 arguments")
                guest.skepctl("prog", "load", os.path.join(BUILD, "progs", "openat.bpf.o"), "p")
                guest.skepctl("prog", "attach", "pinned", "p", "tracepoint",
                              "syscalls:sys_enter_openat")
                time.sleep(1)
                opens = {entry["formatted"]["key"]["name"]: entry["formatted"]["value"]
                         for entry in guest.skepctl_json("map", "dump", "name", "opens")}
        self.assertEqual(set(opens), {"/hello.txt", "/no/such/file"})
        self.assertGreaterEqual(min(opens.values()), 3)
        self.assertLessEqual(abs(opens["/hello.txt"] - opens["/no/such/file"]), 1)

    def test_nowhere(self):
        """APP= of a folder without C files is refused with a sentence"""
        with work_folder() as folder:
            made = self.make(folder, f"{folder}/nowhere")
            self.assertNotEqual(made.returncode, 0)
            self.assertIn(f"APP={folder}/nowhere: no C files there", made.stderr)


if __name__ == "__main__":
    unittest.main()
