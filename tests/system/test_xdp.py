"""XDP programs on the running machine's network card."""

import unittest

from guest import Guest, compile_program, work_folder


class Xdp(unittest.TestCase):
    """One machine whose own echo service is off, and one where it serves."""

    def start(self, append=""):
        self.guest = Guest(boot="pvh", append=append, limit=120).__enter__().wait_ready()
        self.addCleanup(self.guest.end)
        self.guest.wait_console("10.0.2.15")
        with work_folder() as folder:
            self.guest.skepctl("prog", "loadall", compile_program("xdp", folder), "x")

    def attach(self, name):
        self.guest.skepctl("prog", "attach", "pinned", f"x/{name}", "xdp")

    def detach(self, name):
        self.guest.skepctl("prog", "detach", "pinned", f"x/{name}", "xdp")

    def counted(self):
        """Datagrams to the echo service that the programs saw."""
        ((element,),) = [self.guest.skepctl_json("map", "dump", "name", "echoes")]
        return element["formatted"]["value"]

    def kept_back(self):
        """What the device counted: frames dropped, sent back, aborted by XDP programs."""
        info = self.guest.skepctl_json("sys", "info")
        return info["xdp_dropped"], info["xdp_tx"], info["xdp_aborted"]

    def test_drop(self):
        """XDP_DROP keeps back the datagrams to one port, counted; all else passes; detached, all is as before"""
        self.start()
        self.assertEqual(self.guest.echo(b"before"), b"before")
        self.attach("drop")
        for _ in range(3):
            self.assertIsNone(self.guest.echo(b"lost", timeout=0.5))
        self.assertEqual(self.guest.http_get("/hello.txt")[0], 200)
        self.assertEqual(self.counted(), 3)
        self.assertEqual(self.kept_back(), (3, 0, 0))
        self.detach("drop")
        self.assertEqual(self.guest.echo(b"after"), b"after")
        self.assertEqual(self.counted(), 3)
        self.assertEqual(self.kept_back(), (3, 0, 0))

    def test_aborted(self):
        """XDP_ABORTED and verdicts that do not exist keep frames back and are counted apart"""
        self.start()
        for index, name in enumerate(("aborted", "no_such_verdict")):
            self.attach(name)
            self.assertIsNone(self.guest.echo(b"lost", timeout=0.5))
            self.assertEqual(self.kept_back(), (0, 0, index + 1))
            self.detach(name)
            self.assertEqual(self.guest.echo(b"after"), b"after")

    def test_bounce(self):
        """XDP_TX sends what the program made of a frame: an echo service without the stack"""
        self.start("skep.services=0")
        self.assertIsNone(self.guest.echo(b"nobody serves", timeout=0.5))
        self.attach("bounce")
        for size in (1, 18, 64, 1000, 1472):
            payload = bytes(index % 251 for index in range(size))
            self.assertEqual(self.guest.echo(payload), payload, f"{size} bytes")
        self.assertEqual(self.counted(), 5)
        self.assertEqual(self.kept_back(), (0, 5, 0))
        self.detach("bounce")
        self.assertIsNone(self.guest.echo(b"nobody serves", timeout=0.5))

    def test_one_program(self):
        """a card takes one program: the next is refused with a sentence, and may come when it is gone"""
        self.start()
        self.attach("drop")
        refused = self.guest.skepctl("prog", "attach", "pinned", "x/aborted", "xdp", check=False)
        self.assertEqual(refused.returncode, 255)
        self.assertRegex(refused.stderr, r"\AError: can't attach to the network card: it has a program already")
        (link,) = self.guest.skepctl_json("link", "list")
        self.assertEqual((link["type"], link["ifindex"]), ("xdp", 1))
        self.detach("drop")
        self.attach("aborted")
        self.guest.skepctl("link", "detach", "id", self.guest.skepctl_json("link", "list")[0]["id"])
        self.assertEqual(self.guest.echo(b"after"), b"after")


if __name__ == "__main__":
    unittest.main()
