"""
Programs of an xv6 tree for `cowslip run --xv6`: a folder of files named _NAME, as
xv6's build leaves them, or a file-system image (fs.img).

The image, as xv6's mkfs writes it: blocks of 1024 bytes; in block 1 the superblock,
little-endian 32-bit words: magic, size, data blocks, inodes, log blocks, start of the
log, of the inodes, of the bitmap. An inode has 64 bytes: type, major, minor, links
(16 bits each), size, 12 block numbers and one of a block of 256 more. A directory is
a file of 16-byte entries: inode number (16 bits, 0: empty), name. Inode 1 is the root.
"""
import struct
from pathlib import Path
from typing import Dict, Iterator, List, Tuple

from .common import EX_USAGE, Stop

BLOCK = 1024
MAGIC = 0x10203040
ROOT = 1
T_DIR, T_FILE = 1, 2
DIRECT, INDIRECT = 12, BLOCK // 4
NAME = 14  # as much of a name counts
HOME = "/xv6"


class Image:
    """Reads an image and believes nothing of it."""

    def __init__(self, path: Path):
        self.path = path
        self.data = path.read_bytes()
        words = struct.unpack_from("<8I", self.data, BLOCK) if len(self.data) >= 2 * BLOCK else (0,) * 8
        if words[0] != MAGIC:
            raise self.bad("no superblock of xv6's in block 1")
        self.inodes, self.inode_start = words[3], words[6]

    def bad(self, why: str) -> Stop:
        return Stop(f"{self.path}: not a good xv6 file system: {why}", EX_USAGE)

    def block(self, number: int) -> bytes:
        if number == 0:
            return bytes(BLOCK)  # never written
        if (number + 1) * BLOCK > len(self.data):
            raise self.bad(f"block {number} lies beyond its end")
        return self.data[number * BLOCK:(number + 1) * BLOCK]

    def inode(self, number: int) -> Tuple[int, bytes]:
        """Type and contents."""
        if not 0 < number < self.inodes:
            raise self.bad(f"inode {number} of {self.inodes}")
        raw = self.block(self.inode_start + number // (BLOCK // 64))
        kind, _, _, _, size, *at = struct.unpack_from("<4H14I", raw, number % (BLOCK // 64) * 64)
        if size > (DIRECT + INDIRECT) * BLOCK:
            raise self.bad(f"inode {number} has {size} bytes")
        count = (size + BLOCK - 1) // BLOCK
        if count > DIRECT:
            at = at[:DIRECT] + list(struct.unpack(f"<{INDIRECT}I", self.block(at[DIRECT])))
        return kind, b"".join(self.block(n) for n in at[:count])[:size]

    def names(self, folder: bytes) -> Iterator[Tuple[int, str]]:
        for at in range(0, len(folder) - 15, 16):
            number, raw = struct.unpack_from("<H14s", folder, at)
            name = raw.split(b"\0")[0].decode("latin-1")
            if number and name not in (".", ".."):
                if not name or "/" in name:
                    raise self.bad(f"the name {name!r}")
                yield number, name

    def files(self) -> Dict[str, bytes]:
        found: Dict[str, bytes] = {}
        todo: List[Tuple[str, int]] = [("", ROOT)]
        seen = set()
        while todo:
            prefix, number = todo.pop()
            if number in seen:
                raise self.bad("a folder within itself")
            seen.add(number)
            kind, data = self.inode(number)
            if kind != T_DIR:
                raise self.bad(f"inode {number} is no folder")
            names_here = set()
            for child, name in self.names(data):
                if name in names_here:
                    raise self.bad(f"two files named {prefix + name}")
                names_here.add(name)
                kind, contents = self.inode(child)
                if kind == T_DIR:
                    todo.append((f"{prefix}{name}/", child))
                elif kind == T_FILE:
                    found[prefix + name] = contents
        return found


def folder_files(path: Path) -> Dict[str, bytes]:
    """The programs, and README, which xv6's own tests read: from the folder, or as in xv6's tree the one above."""
    found = {p.name[1:][:NAME]: p.read_bytes() for p in sorted(path.iterdir())
             if len(p.name) > 1 and p.name[0] == "_" and p.is_file()}
    for readme in (path / "README", path.resolve().parent / "README"):
        if found and "README" not in found and readme.is_file():
            found["README"] = readme.read_bytes()
    return found


def extract(source: Path, to: Path) -> List[str]:
    """Puts the programs into the folder `to`; their names."""
    try:
        files = folder_files(source) if source.is_dir() else Image(source).files()
    except OSError as e:
        raise Stop(f"--xv6: {source}: {e.strerror}", EX_USAGE) from e
    if not files:
        raise Stop(f"--xv6: {source}: no programs in it (a folder has files named _NAME)", EX_USAGE)
    try:
        for name, data in files.items():
            file = to / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
            file.chmod(0o755)
    except (OSError, ValueError) as e:
        raise Stop(f"--xv6: {source}: {e}", EX_USAGE) from e
    return sorted(files)


def command(names: List[str], words: List[str]) -> List[str]:
    """What is run in the guest, with the programs' folder as its root: xv6's shell, if nothing is said."""
    if not words and "sh" not in names:
        raise Stop("--xv6: there is no program named sh; say which to run: --xv6 ... -- PROGRAM", EX_USAGE)
    program, *arguments = words or ["sh"]
    return ["chroot", HOME, program if program.startswith("/") else f"/{program}", *arguments]
