"""Writes xv6 file-system images for tests: what xv6's mkfs does, flat or with one folder deep."""
import struct

BLOCK, MAGIC = 1024, 0x10203040
INODES = 200


class Writer:
    def __init__(self):
        self.inodes = {}
        self.inode_start = 2 + 30
        self.blocks = {}
        self.next_block = self.inode_start + INODES // 16 + 1 + 1
        self.next_inode = 1

    def add_block(self, data):
        self.blocks[self.next_block] = data.ljust(BLOCK, b"\0")
        self.next_block += 1
        return self.next_block - 1

    def add(self, number, kind, data):
        at = [self.add_block(data[i:i + BLOCK]) for i in range(0, len(data), BLOCK)]
        if len(at) > 12:
            at[12:] = [self.add_block(struct.pack(f"<{len(at) - 12}I", *at[12:]))]
        self.inodes[number] = struct.pack("<4H14I", kind, 0, 0, 1, len(data), *at, *[0] * (13 - len(at)))

    def new(self):
        self.next_inode += 1
        return self.next_inode - 1

    def folder(self, number, parent, tree):
        entries = [(number, "."), (parent, "..")]
        for name, what in tree.items():
            child = self.new()
            entries.append((child, name))
            if isinstance(what, dict):
                self.folder(child, number, what)
            else:
                self.add(child, 2, what)
        entries.append((0, "gone"))
        self.add(number, 1, b"".join(struct.pack("<H14s", n, name.encode()) for n, name in entries))

    def image(self):
        size = self.next_block
        out = bytearray(size * BLOCK)
        struct.pack_into("<8I", out, BLOCK, MAGIC, size, size, INODES, 30, 2, self.inode_start, self.inode_start + INODES // 16 + 1)
        for number, raw in self.inodes.items():
            at = self.inode_start * BLOCK + number * 64
            out[at:at + 64] = raw
        for number, data in self.blocks.items():
            out[number * BLOCK:(number + 1) * BLOCK] = data
        return bytes(out)


def write_image(path, tree):
    w = Writer()
    w.folder(w.new(), 1, tree)
    path.write_bytes(w.image())
