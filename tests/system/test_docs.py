"""The documents' transcripts are true: every marked block runs and prints what it shows."""

import glob
import os
import subprocess
import unittest

import transcript
from guest import BUILD, ROOT, Guest


class Transcripts(unittest.TestCase):
    def run_block(self, name, steps):
        with Guest(boot="iso", limit=180) as guest:
            guest.wait_ready()
            environment = dict(os.environ, SKEP_TARGET=f"127.0.0.1:{guest.port}")
            for command, expected in steps:
                # The document shows the default folder and ports; this run has its own.
                here = command.replace("build/", os.path.relpath(BUILD, ROOT) + "/")
                here = here.replace("127.0.0.1:8080", f"127.0.0.1:{guest.http_port}")
                done = subprocess.run(here, shell=True, cwd=ROOT, env=environment, text=True,
                                      capture_output=True, timeout=60)
                output = done.stdout + done.stderr
                self.assertEqual(done.returncode, 0, f"{name}: $ {command}\n{output}")
                self.assertRegex(output, transcript.pattern(expected), f"{name}: $ {command}")

    def test_transcripts(self):
        """every transcript in README.md and docs/ prints what it shows"""
        found = 0
        for path in ["README.md"] + sorted(glob.glob("docs/*.md", root_dir=ROOT)):
            for kind, steps in transcript.blocks(os.path.join(ROOT, path)):
                found += 1
                with self.subTest(path):
                    self.assertEqual(kind, "guest", f"{path}: unknown kind of transcript")
                    self.run_block(path, steps)
        self.assertGreater(found, 0)


if __name__ == "__main__":
    unittest.main()
