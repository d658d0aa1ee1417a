"""A Skep guest in QEMU, for tests and the demo: start, talk, read the console, end.

Every guest has a time limit; leaving the `with` block ends the QEMU that this object started and
no other. All knowledge of QEMU's options is in scripts/run-qemu.
"""

import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.path.join(ROOT, os.environ.get("O", "build"))
SKEPCTL = os.path.join(BUILD, "skepctl")

EXIT_POWER_OFF = 0
EXIT_PANIC = 99


def free_port(kind):
    """A port of 127.0.0.1 that was free a moment ago."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class GuestError(Exception):
    """The guest did not do what was waited for; carries the end of its console."""


class Guest:
    def __init__(self, boot="iso", append="", qemu=(), limit=120, netdev=None, build=BUILD,
                 key=None, insecure=False):
        """boot: "iso" (GRUB) or "pvh". append: kernel command line. qemu: further options.
        limit: seconds until the whole machine is ended. netdev: another -netdev than user.
        build: folder of the image. key: file with another key than the folder's, or "none".
        insecure: the wire is in plain."""
        self.boot, self.append, self.extra = boot, append, list(qemu)
        self.limit, self.netdev, self.build = limit, netdev, build
        self.given_key = key
        self.key = key or os.path.join(build, "skep.key")  # run-qemu makes that one
        self.access = ("--key", self.key)
        if insecure:
            self.append = f"{append} skep.insecure=1".strip()
            self.access = ("--insecure",)
        self.port = free_port(socket.SOCK_DGRAM)
        self.echo_port = free_port(socket.SOCK_DGRAM)
        self.tftp_port = free_port(socket.SOCK_DGRAM)
        self.http_port = free_port(socket.SOCK_STREAM)
        self.console = ""
        self.condition = threading.Condition()
        self.process = None

    # ---- life -------------------------------------------------------------------------------

    def __enter__(self):
        command = [os.path.join(ROOT, "scripts", "run-qemu"), "--boot", self.boot,
                   "--limit", str(self.limit)]
        if self.given_key:
            command += ["--key", self.given_key]
        if self.append:
            command += ["--append", self.append]
        if self.netdev:
            command += ["--netdev", self.netdev]
        else:
            command += ["--client-port", str(self.port), "--echo-port", str(self.echo_port),
                        "--tftp-port", str(self.tftp_port), "--http-port", str(self.http_port)]
        command += ["--"] + self.extra
        if threading.current_thread() is threading.main_thread():
            self._start_uninterrupted(command)
        else:
            self._start(command)
        return self

    def _start_uninterrupted(self, command):
        """A Ctrl-C while QEMU starts counts once it is known, so that it can be ended."""
        interrupts = []
        before = signal.signal(signal.SIGINT, lambda *_: interrupts.append(True))
        try:
            self._start(command)
        finally:
            signal.signal(signal.SIGINT, before)
        if interrupts:
            self.end()
            raise KeyboardInterrupt

    def _start(self, command):
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=dict(os.environ, O=self.build), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        self.reader = threading.Thread(target=self._read_console, daemon=True)
        self.reader.start()

    def __exit__(self, *_):
        self.end()

    def end(self):
        """Ends QEMU when it still runs (it is alone in its process group)."""
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        if self.process:
            self.reader.join()
            self.process.stdout.close()

    def _read_console(self):
        while True:
            piece = os.read(self.process.stdout.fileno(), 4096)
            with self.condition:
                self.console += piece.decode("utf-8", "replace").replace("\r", "")
                self.condition.notify_all()
            if not piece:
                return

    # ---- waiting ----------------------------------------------------------------------------

    def wait_console(self, text, timeout=30):
        """Waits until the console has said `text`."""
        deadline = time.monotonic() + timeout
        with self.condition:
            while text not in self.console:
                left = deadline - time.monotonic()
                if left <= 0 or (self.process.poll() is not None and not self.reader.is_alive()):
                    raise GuestError(f"waited {timeout} s for {text!r} on the console; it ends:\n"
                                     + self.console[-2000:])
                self.condition.wait(min(left, 0.5))
        return self

    def wait_ready(self, timeout=60):
        """Waits until the command server listens."""
        return self.wait_console("server: listening on UDP port 9970", timeout)

    def wait_exit(self, timeout=30):
        """QEMU's exit status."""
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise GuestError(f"waited {timeout} s for QEMU to end; the console ends:\n"
                             + self.console[-2000:]) from None
        self.reader.join()
        return status

    # ---- talking ----------------------------------------------------------------------------

    def skepctl(self, *args, check=True, timeout=30, target=None, access=None):
        """Runs skepctl against this guest; its completed process, text output. access: options in
        the place of self.access."""
        command = [SKEPCTL, "--target", target or f"127.0.0.1:{self.port}",
                   *(access or self.access), *map(str, args)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout,
                              stdin=subprocess.DEVNULL)
        if check and done.returncode != 0:
            raise GuestError(f"{' '.join(args)}: exit status {done.returncode}\n"
                             f"{done.stdout}{done.stderr}console ends:\n{self.console[-1500:]}")
        return done

    def skepctl_json(self, *args, **options):
        return json.loads(self.skepctl("-j", *args, **options).stdout)

    def http_get(self, path, timeout=10):
        """A GET over HTTP/1.0: (status code, body)."""
        with socket.create_connection(("127.0.0.1", self.http_port), timeout) as connection:
            connection.sendall(f"GET {path} HTTP/1.0\r\nHost: skep\r\n\r\n".encode())
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), body

    def tftp_get(self, name, timeout=10):
        """A read over TFTP (RFC 1350); the file's bytes. OSError with the server's words."""
        deadline = time.monotonic() + timeout
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(1)
            message = b"\0\1" + name.encode() + b"\0octet\0"
            server = ("127.0.0.1", self.tftp_port)
            data, wanted = b"", 1
            while time.monotonic() < deadline:
                sock.sendto(message, server)
                try:
                    answer, server = sock.recvfrom(2048)
                except socket.timeout:
                    continue
                if answer[:2] == b"\0\5":
                    raise OSError(answer[4:-1].decode("utf-8", "replace"))
                if answer[:2] == b"\0\3" and int.from_bytes(answer[2:4], "big") == wanted & 0xFFFF:
                    data += answer[4:]
                    message = b"\0\4" + answer[2:4]
                    wanted += 1
                    if len(answer) < 516:
                        sock.sendto(message, server)
                        return data
            raise TimeoutError(f"TFTP: {name} did not arrive within {timeout} s")

    def echo(self, payload, source_port=0, timeout=5):
        """One datagram to the echo service; what came back, or None."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", source_port))
            sock.settimeout(timeout)
            sock.sendto(payload, ("127.0.0.1", self.echo_port))
            try:
                return sock.recv(65536)
            except socket.timeout:
                return None


def compile_program(name, folder):
    """tests/system/NAME.bpf.c as an object file in folder; its path."""
    output = os.path.join(folder, name + ".bpf.o")
    multiarch = subprocess.run(["gcc", "-print-multiarch"], capture_output=True, text=True,
                               check=True).stdout.strip()
    subprocess.run(["clang", "-g", "-O2", "-target", "bpf", "-Wall", "-Wextra", "-Werror",
                    "-idirafter", f"/usr/include/{multiarch}", "-c", "-o", output,
                    os.path.join(ROOT, "tests", "system", name + ".bpf.c")], check=True)
    return output


def work_folder():
    """A short-lived folder with a short path (unix socket names are at most 107 bytes)."""
    return tempfile.TemporaryDirectory(prefix="skep-")
