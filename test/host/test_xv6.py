"""Reading an xv6 tree's programs: folders, images, and images that are not what they seem."""
import random
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
from cowslip import xv6  # noqa: E402
from cowslip.common import Stop  # noqa: E402
from xv6image import write_image  # noqa: E402

TREE = {"sh": b"S" * 700, "big": bytes(range(256)) * 200, "empty": b"", "d": {"inner": b"i", "e": {"deep": b"deep"}}}


class Trees(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name)

    def tearDown(self):
        self.folder.cleanup()

    def test_an_image_is_read_back(self):
        write_image(self.path / "fs.img", TREE)
        self.assertEqual(xv6.Image(self.path / "fs.img").files(),
                         {"sh": TREE["sh"], "big": TREE["big"], "empty": b"", "d/inner": b"i", "d/e/deep": b"deep"})

    def test_programs_are_laid_out(self):
        write_image(self.path / "fs.img", TREE)
        self.assertIn("d/e/deep", xv6.extract(self.path / "fs.img", self.path / "to"))
        self.assertEqual((self.path / "to" / "d" / "inner").read_bytes(), b"i")
        self.assertEqual((self.path / "to" / "sh").stat().st_mode & 0o777, 0o755)

    def test_a_folder_has_what_begins_with_underscore(self):
        user = self.path / "user"
        user.mkdir()
        for name in ("_ls", "_sh", "ls.o", "_", "usertests.asm", "_averyverylongname"):
            (user / name).write_bytes(name.encode())
        self.assertEqual(xv6.extract(user, self.path / "to"), ["averyverylongn", "ls", "sh"])
        (self.path / "README").write_text("of the tree")
        self.assertEqual(xv6.extract(user, self.path / "again"), ["README", "averyverylongn", "ls", "sh"])

    def test_what_to_run(self):
        self.assertEqual(xv6.command(["sh"], []), ["chroot", "/xv6", "/sh"])
        self.assertEqual(xv6.command(["ls"], ["ls", "-x"]), ["chroot", "/xv6", "/ls", "-x"])
        with self.assertRaises(Stop):
            xv6.command(["ls"], [])

    def test_damage_is_refused_or_read_but_never_worse(self):
        write_image(self.path / "fs.img", TREE)
        good = (self.path / "fs.img").read_bytes()
        rng = random.Random(7)
        refused = 0
        for n in range(400):
            bad = bytearray(good)
            for _ in range(1 + n % 8):
                at = rng.randrange(1024, 1024 * 50) if n % 2 else 32 * 1024 + rng.randrange(64 * 10)
                bad[at] = rng.randrange(256)
            if n % 5 == 0:
                del bad[rng.randrange(len(bad)):]
            (self.path / "bad.img").write_bytes(bad)
            try:
                files = xv6.Image(self.path / "bad.img").files()
                self.assertFalse(any(".." in name.split("/") or name.startswith("/") for name in files))
            except Stop:
                refused += 1
        self.assertGreater(refused, 50)

    def test_two_of_one_name(self):
        write_image(self.path / "fs.img", {"aa": b"1", "ab": {"x": b"2"}})
        data = bytearray((self.path / "fs.img").read_bytes())
        at = data.index(b"ab\0\0\0")
        data[at:at + 2] = b"aa"
        (self.path / "fs.img").write_bytes(data)
        with self.assertRaises(Stop):
            xv6.extract(self.path / "fs.img", self.path / "to")

    def test_a_folder_within_itself(self):
        write_image(self.path / "fs.img", {"d": {"x": b""}})
        data = bytearray((self.path / "fs.img").read_bytes())
        at = data.index(b"x\0\0\0") - 2
        data[at:at + 2] = (1).to_bytes(2, "little")
        (self.path / "fs.img").write_bytes(data)
        with self.assertRaises(Stop):
            xv6.Image(self.path / "fs.img").files()


if __name__ == "__main__":
    unittest.main()
