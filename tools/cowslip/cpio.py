"""Writes newc cpio archives."""
import os
import stat
from pathlib import Path
from typing import BinaryIO, Iterable

from .common import say


# As in Debian: these are links to the folder of the same name below usr, and whatever is put into them goes there.
MERGED = ("bin", "lib", "lib64", "sbin")


def place(name: str) -> str:
    """Where a name of the guest really lies."""
    first, slash, _ = name.partition("/")
    return f"usr/{name}" if slash and first in MERGED else name


class Archive:
    """An archive under way. Names are relative to the root."""

    def __init__(self, out: BinaryIO, there: Iterable[str] = ()):
        """there: folders that the guest has already; they stay as they are."""
        self.out = out
        self.ino = 1
        self.seen = set(there)

    def _entry(self, name: str, mode: int, data: bytes, mtime: int = 0, rdev: int = 0) -> None:
        raw = place(name).encode("utf-8", "surrogateescape") + b"\0"
        fields = [self.ino, mode, 0, 0, 1, mtime, len(data), 0, 0, os.major(rdev), os.minor(rdev), len(raw), 0]
        header = b"070701" + b"".join(b"%08x" % (f & 0xffffffff) for f in fields)
        self.ino += 1
        self.out.write(header + raw + b"\0" * (-(len(header) + len(raw)) % 4))
        self.out.write(data + b"\0" * (-len(data) % 4))

    def folder(self, name: str, mode: int = 0o755) -> None:
        if name and name not in self.seen and name not in MERGED:
            self.parents(name)
            self.seen.add(name)
            self._entry(name, stat.S_IFDIR | mode, b"")

    def parents(self, name: str) -> None:
        parent = os.path.dirname(name)
        if parent:
            self.folder(parent)

    def file(self, name: str, data: bytes, mode: int = 0o644, mtime: int = 0) -> None:
        self.parents(name)
        self._entry(name, stat.S_IFREG | mode, data, mtime)

    def link(self, name: str, target: str) -> None:
        self.parents(name)
        self._entry(name, stat.S_IFLNK | 0o777, target.encode("utf-8", "surrogateescape"))

    def add(self, host: Path, name: str) -> None:
        """A file or folder of the host, with its mode; links stay links."""
        s = host.lstat()
        if stat.S_ISLNK(s.st_mode):
            self.link(name, os.readlink(host))
        elif stat.S_ISDIR(s.st_mode):
            if name and name not in self.seen and name not in MERGED:
                self.parents(name)
                self.seen.add(name)
                self._entry(name, s.st_mode, b"", int(s.st_mtime))
            for child in sorted(os.listdir(host)):
                self.add(host / child, f"{name}/{child}" if name else child)
        elif stat.S_ISREG(s.st_mode):
            self.file(name, host.read_bytes(), stat.S_IMODE(s.st_mode), int(s.st_mtime))
        else:
            say(f"--add: {host} is no file, folder or link: left out")

    def end(self) -> None:
        self.ino = 0
        self._entry("TRAILER!!!", 0, b"")
        self.out.write(b"\0" * (-self.out.tell() % 512))
