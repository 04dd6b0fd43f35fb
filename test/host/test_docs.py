"""Figures that the pages in docs/ give of the source."""
import re
import sys
import tempfile
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tools"))
import lines  # noqa: E402


class Lines(unittest.TestCase):
    def test_comments_and_empty_lines_are_no_code(self):
        text = "/* of\n * two lines */\nint a; /* one */\n\n#define B\n# assembly's\n// a line\nint c; // why\n"
        self.assertEqual(lines.code_lines(text), 3)

    def test_each_file_has_its_room(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in (("vm/a.c", "a\n\nb\n"), ("arch/b.c", "c\n"), ("arch/z80/d.S", "e\nf\n"), ("vm/README", "g\n")):
                file = Path(folder) / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
            got = lines.count(Path(folder))
        self.assertEqual(got, {"portable/vm": (1, 3, 2), "portable/arch": (1, 1, 1), "z80": (1, 2, 2), "portable": (2, 4, 3)})

    def test_the_page_about_porting_is_right_within_a_tenth(self):
        text = (TOP / "docs" / "porting.md").read_text()
        said = re.search(r"([\d,]+) lines of the kernel know no machine, ([\d,]+) are\s+riscv64's, ([\d,]+) x86_64's", text)
        for room, number in zip(("portable", "riscv64", "x86_64"), said.groups()):
            counted = lines.count()[room].code
            self.assertAlmostEqual(int(number.replace(",", "")), counted, delta=counted / 10, msg=room)


class Museum(unittest.TestCase):
    def test_the_table_has_each_planted_fault_once_and_the_count_is_said(self):
        faults = [name for f in (TOP / "test" / "museum").glob("*.faults") for name in re.findall(r"^fault (\S+) ", f.read_text(), re.M)]
        rows = re.findall(r"^\| ([a-z0-9-]*[a-z][a-z0-9-]*) \|(?:[^|\n]*\|){4}$", (TOP / "docs" / "museum.md").read_text(), re.M)
        self.assertEqual(sorted(rows), sorted(faults))
        for page in ("README.md", "docs/testing.md"):
            self.assertRegex((TOP / page).read_text(), rf"\b{len(faults)} planted faults")


if __name__ == "__main__":
    unittest.main()
