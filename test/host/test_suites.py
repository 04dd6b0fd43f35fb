"""What `cowslip test --suite` makes of what tests print, without a machine."""
import itertools
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
from cowslip import suites  # noqa: E402

OUTPUT = """boot noise
@@ one\r
TAP version 13\r
ok 1 good\r
not ok 2 bad\r
ok 3 # SKIP no such device\r
@@ end\r
@@ two
dies at once
@@ end
"""


class Output(unittest.TestCase):
    def test_tap_is_read(self):
        self.assertEqual(suites.results(suites.SUITES["mm"], OUTPUT),
                         {"one 1 good": "pass", "one 2 bad": "fail", "one 3 no such device": "skip", "two 0 -": "fail"})

    def test_nolibc_is_read(self):
        text = "@@ n\n0 getpid = 7    [OK]\n1 chmod = -1 ENOENT != (-1 EPERM)   [FAIL]\n2 x not supported  [SKIPPED]\n@@ end\n"
        self.assertEqual(suites.results(suites.SUITES["nolibc"], text),
                         {"n 1 getpid": "pass", "n 2 chmod": "fail", "n 3 x": "skip"})

    def test_a_difference_in_either_direction_is_wrong(self):
        expected = {"a 1 x": "pass", "a 2 y": "fail", "a 3 z": "pass"}
        self.assertEqual(suites.compare(expected, dict(expected)), [])
        self.assertEqual(len(suites.compare(expected, {"a 1 x": "fail", "a 2 y": "pass", "a 4 new": "pass"})), 4)

    def test_what_does_not_pass_has_a_reason(self):
        for arch, name in itertools.product(("riscv64", "x86_64"), suites.SUITES):
            expected = suites.read_expected(arch, name)
            self.assertGreater(len(expected), 50)
            for line in suites.expected_file(arch, name).read_text().splitlines():
                self.assertTrue(line.startswith("pass") or "  # " in line, line)


if __name__ == "__main__":
    unittest.main()
