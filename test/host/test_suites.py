"""What `cowslip test --suite` makes of what tests print, without a machine."""
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
from cowslip import suite, suitelinux, suites  # noqa: E402
from cowslip.machines import MACHINES  # noqa: E402

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
            self.assertGreater(len(suite.read_expected(name)), 40)
            for arch in MACHINES:
                file = suite.expected_file(name, arch)
                for line in file.read_text().splitlines() if file.exists() else []:
                    self.assertTrue(line.startswith("pass") or "  # " in line, line)
                    self.assertIn(line.split()[0].split("|")[0], [*suite.WORDS, suite.NONE])


class Expected(unittest.TestCase):
    """A machine's own file has only what differs from the first machine's."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        place = Path(self.folder.name)
        self.own = place / "x.x86_64.expected"
        (place / "x.expected").write_text("pass  a\nfail  b  # why\npass|skip  c  # chance\npass  d\n")
        for what in (mock.patch.object(suite, "expected_file", lambda name, arch: place / ("x.expected" if arch == "riscv64" else self.own.name)),
                     mock.patch.object(suite, "ARCH", "x86_64")):
            what.start()
            self.addCleanup(what.stop)
        self.addCleanup(self.folder.cleanup)

    def test_only_what_differs_is_recorded(self):
        got = {"a": "fail", "b": "fail", "c": "skip", "e": "pass"}
        suite.write_expected("x", got)
        self.assertEqual(self.own.read_text(), "none  d\nfail  a\npass  e\n")
        self.assertEqual(suite.read_expected("x"), {"a": "fail", "b": "fail", "c": "pass|skip", "e": "pass"})
        self.assertEqual(suite.compare(suite.read_expected("x"), got), [])

    def test_reasons_stay(self):
        self.own.write_text("fail  a  # of this machine\n")
        suite.write_expected("x", {"a": "fail", "b": "fail", "c": "pass", "d": "pass"})
        self.assertEqual(self.own.read_text(), "fail  a  # of this machine\n")

    def test_what_does_not_differ_needs_no_file(self):
        self.own.write_text("fail  a  # of this machine\n")
        suite.write_expected("x", {"a": "pass", "b": "fail", "c": "pass", "d": "pass"})
        self.assertFalse(self.own.exists())


if __name__ == "__main__":
    unittest.main()
