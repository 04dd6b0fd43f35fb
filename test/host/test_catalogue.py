"""Each row of the catalogue (docs/museum.md) has tests that bear its number, and docs/testing.md says which."""
import re
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
DOCS = TOP / "docs"


def rows():
    """A1 to A12, B1 to B9, as docs/museum.md lists them."""
    return re.findall(r"^\| ([AB]\d+) \| ", (DOCS / "museum.md").read_text(), re.M)


def tests():
    """row -> names of tests: cmocka's that are registered, TAP lines of guest programs, pytest's."""
    found = {}
    for path in sorted((TOP / "test" / "host").glob("test_vm*.c")):
        text = path.read_text()
        for name in re.findall(r"^static void (([ab]\d+)_\w+)\(void \*\*state\)", text, re.M):
            if len(re.findall(rf"\b{name[0]}\b", text)) > 1:  # else nobody runs it
                found.setdefault(name[1].upper(), set()).add(name[0])
    for path in sorted((TOP / "test" / "guest").glob("*.c")):
        for row in re.findall(r"\"([AB]\d+) ", path.read_text()):
            found.setdefault(row, set()).add(f"{path.name} {row}")
    for path in sorted((TOP / "test" / "boot").glob("test_*.py")):
        for name in re.findall(r"^def (test_([ab]\d+)_\w+)", path.read_text(), re.M):
            found.setdefault(name[1].upper(), set()).add(name[0])
    return found


def table():
    """row -> names, of docs/testing.md: `name` in the second column."""
    lines = re.findall(r"^\| ([AB]\d+) \| (.+?) \|", (DOCS / "testing.md").read_text(), re.M)
    return {row: set(re.findall(r"`([^`]+)`", names)) for row, names in lines}


class Catalogue(unittest.TestCase):
    def test_the_catalogue_is_whole(self):
        self.assertEqual(rows(), [f"A{n}" for n in range(1, 13)] + [f"B{n}" for n in range(1, 10)])

    def test_each_row_has_a_test(self):
        self.assertEqual([row for row in rows() if row not in tests()], [])

    def test_the_table_names_them_all_and_no_others(self):
        self.assertEqual(table(), tests())


if __name__ == "__main__":
    unittest.main()
