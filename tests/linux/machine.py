"""Debian's kernel in QEMU: boots it with an initramfs and gives back what init answered."""

import glob
import os
import subprocess

from initramfs import Initramfs

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
KERNEL = os.path.join(ROOT, "third_party", "linux")
LIMIT = 900  # seconds until the machine is ended, whatever it does


class LinuxError(Exception):
    """The machine did not come to its end; carries the end of its console."""


def build_initramfs(init, objects, activity, events, files):
    """init: path of the init program. objects: paths. activity: file names to open. events:
    SYSTEM:NAME, whose formats are asked for. files: folder whose files lie in / as in Skep's."""
    archive = Initramfs()
    archive.add_file("init", init, 0o755)
    for path in sorted(glob.glob(os.path.join(ROOT, "tests", "data", "**", "*.data"),
                                 recursive=True)):
        archive.add_file(os.path.relpath(path, ROOT), path)
    archive.add_file("tests/linux/maps.table", os.path.join(ROOT, "tests", "linux", "maps.table"))
    for path in objects:
        archive.add_file("objects/" + os.path.basename(path), path)
    archive.add_file("bin/bpftool", os.path.join(KERNEL, "bpftool"), 0o755)
    for name in sorted(os.listdir(os.path.join(KERNEL, "lib"))):
        folder = "lib64" if name.startswith("ld-linux") else "lib"
        archive.add_file(f"{folder}/{name}", os.path.join(KERNEL, "lib", name), 0o755)
    archive.add("activity", "".join(f"{path}\n" for path in activity).encode())
    archive.add("events", "".join(f"{event}\n" for event in events).encode())
    for folder, _, names in sorted(os.walk(files)):
        for name in sorted(names):
            path = os.path.join(folder, name)
            archive.add_file(os.path.relpath(path, files), path)
    return archive.bytes()


def run(work, initramfs):
    """Boots; work is a folder for the machine's files. The lines that init answered."""
    paths = {name: os.path.join(work, name) for name in ("initramfs", "console.txt", "answers.txt")}
    with open(paths["initramfs"], "wb") as file:
        file.write(initramfs)
    command = [os.environ.get("QEMU", "qemu-system-x86_64"), "-accel", "tcg", "-m", "512",
               "-cpu", "max", "-smp", "1", "-nodefaults", "-vga", "none", "-display", "none",
               "-no-reboot", "-kernel", os.path.join(KERNEL, "vmlinuz"),
               "-initrd", paths["initramfs"],
               "-append", "console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off "
                          "random.trust_cpu=on",
               "-serial", "file:" + paths["console.txt"], "-serial", "file:" + paths["answers.txt"]]
    try:
        subprocess.run(command, stdin=subprocess.DEVNULL, timeout=LIMIT, check=True)
    except subprocess.TimeoutExpired:
        raise LinuxError(f"waited {LIMIT} s for Linux to power off"
                         + end_of(paths["console.txt"])) from None
    except subprocess.CalledProcessError as error:
        raise LinuxError(f"QEMU ended with status {error.returncode}") from None
    with open(paths["answers.txt"], encoding="utf-8", errors="replace") as file:
        lines = file.read().splitlines()
    if not lines or lines[-1] != "note\tend\tend\tend":
        raise LinuxError("Linux stopped before the end of the list; the last answer is "
                         f"{lines[-1] if lines else '(none)'!r}" + end_of(paths["console.txt"]))
    return lines


def end_of(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return "; its console ends:\n" + file.read()[-2000:]
