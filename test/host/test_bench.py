"""What `cowslip bench` makes of the lines that it reads, without a machine."""
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
from cowslip import bench  # noqa: E402
from cowslip.common import Stop  # noqa: E402

RESULTS = {"cowslip": {("fork.exit", 1): 100, ("fork.exit", 16): 100, ("call.null", 0): 50},
           "linux": {("fork.exit", 1): 400, ("fork.exit", 16): 4000}}


class Lines(unittest.TestCase):
    def test_figures_are_taken_from_noise(self):
        boot = bench.Boot([])
        for line in ("[    0.1] something", "@ begin 0 0", "@ fork.exit 16 12345", "x@ call.null 0 7", "@ broken", "@ end 0 0"):
            boot.take(line)
        self.assertEqual(boot.figures, {("fork.exit", 16): 12345, ("call.null", 0): 7})
        self.assertTrue(boot.ended)

    def test_nothing_ends_before_its_end(self):
        boot = bench.Boot(["true"])
        with self.assertRaises(Stop):
            boot.run("nothing", None)

    def test_unknown_kernels_are_refused(self):
        self.assertEqual(bench.choose("linux,cowslip"), ["linux", "cowslip"])
        with self.assertRaises(Stop):
            bench.choose("cowslip,hurd")


class Output(unittest.TestCase):
    def test_table_has_ratios_and_gaps(self):
        wall = {"cowslip": {("fork.exit", 16): 3}, "linux": {("fork.exit", 16): 4}}
        lines = bench.table(RESULTS, wall, {"cowslip": {("fork.exit", 16): 200}}).splitlines()
        self.assertEqual(len(lines), 4)
        self.assertEqual(lines[2].split(), ["fork.exit", "16", "100", "4000", "0.03", "0.75", "0.50"])
        self.assertEqual(lines[3].split(), ["call.null", "50", "-", "-", "-", "-"])

    def test_json_comes_back(self):
        self.assertEqual(bench.from_json(bench.as_json(RESULTS)), RESULTS)

    def test_plots_need_two_points(self):
        self.assertIn("plot $cowslip", bench.plot_commands("fork.exit", "t", RESULTS))
        self.assertEqual(bench.plot_commands("call.null", "t", RESULTS), "")

    def test_report_stands_alone(self):
        page = bench.report(RESULTS, {}, {"QEMU": "<7>"}, [])
        self.assertIn("&lt;7&gt;", page)
        self.assertNotIn("http", page)


if __name__ == "__main__":
    unittest.main()
