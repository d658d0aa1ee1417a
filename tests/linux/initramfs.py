"""A small initramfs: an archive in cpio's "newc" format (Linux,
Documentation/driver-api/early-userspace/buffer-format.rst), uncompressed."""

import os
import stat


class Initramfs:
    def __init__(self):
        self.pieces, self.inode, self.folders = [], 0, set()

    def _entry(self, name, mode, data):
        self.inode += 1
        path = name.encode() + b"\0"
        fields = (self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + path
        self.pieces += [head, bytes(-len(head) % 4), data, bytes(-len(data) % 4)]

    def _folder_of(self, name):
        folder = os.path.dirname(name)
        if folder and folder not in self.folders:
            self._folder_of(folder)
            self.folders.add(folder)
            self._entry(folder, stat.S_IFDIR | 0o755, b"")

    def add(self, name, data, mode=0o644):
        """A file with its folders; name without a leading slash."""
        self._folder_of(name)
        self._entry(name, stat.S_IFREG | mode, data)

    def add_file(self, name, path, mode=0o644):
        with open(path, "rb") as file:
            self.add(name, file.read(), mode)

    def bytes(self):
        end = Initramfs()
        end._entry("TRAILER!!!", 0, b"")
        return b"".join(self.pieces + end.pieces)
