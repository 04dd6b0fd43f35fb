"""What `cowslip test --suite` makes of what tests print, without a machine."""
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
from cowslip import suite, suitelinux, suites  # noqa: E402

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
        self.assertEqual(suitelinux.results(suitelinux.MM, OUTPUT),
                         {"one 1 good": "pass", "one 2 bad": "fail", "one 3 no such device": "skip", "two 0 -": "fail"})

    def test_nolibc_is_read(self):
        text = "@@ n\n0 getpid = 7    [OK]\n1 chmod = -1 ENOENT != (-1 EPERM)   [FAIL]\n2 x not supported  [SKIPPED]\n@@ end\n"
        self.assertEqual(suitelinux.results(suitelinux.NOLIBC, text),
                         {"n 1 getpid": "pass", "n 2 chmod": "fail", "n 3 x": "skip"})

    def test_tests_that_were_planned_and_not_run(self):
        self.assertEqual(suitelinux.tap("1..3\nok 1 a\n"), [("a", "pass"), ("2 that were not run", "fail")])
        self.assertEqual(suitelinux.tap("1..0 # SKIP no such thing\n"), [("all", "skip")])

    def test_the_runner_is_read(self):
        text = "@@ a exit 0 0.1\n\tsaid\n@@ b exit 2 0.0\n@@ c signal 11 1.0\n@@ d timeout 0 30.1\n@@ e exit 77 0.0\n@@ all done 0 99.0\n"
        self.assertEqual(suite.runner_results(text), {"a": "pass", "b": "unresolved", "c": "signal", "d": "timeout", "e": "fail"})

    def test_a_difference_in_either_direction_is_wrong(self):
        expected = {"a 1 x": "pass", "a 2 y": "fail", "a 3 z": "pass"}
        self.assertEqual(suite.compare(expected, dict(expected)), [])
        self.assertEqual(suite.compare({"a": "fail|timeout"}, {"a": "timeout"}), [])
        self.assertEqual(len(suite.compare({"a": "fail|timeout"}, {"a": "pass"})), 1)
        self.assertEqual(len(suite.compare(expected, {"a 1 x": "fail", "a 2 y": "pass", "a 4 new": "pass"})), 4)

    def test_what_does_not_pass_has_a_reason(self):
        for name in suites.SUITES:
            expected = suite.read_expected(name)
            self.assertGreater(len(expected), 40)
            for line in suite.expected_file(name).read_text().splitlines():
                self.assertTrue(line.startswith("pass") or "  # " in line, line)


if __name__ == "__main__":
    unittest.main()
