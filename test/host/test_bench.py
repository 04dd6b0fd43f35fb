"""What `cowslip bench` makes of the lines that it reads, without a machine."""
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
from cowslip import baseline, bench, benchreport  # noqa: E402
from cowslip.benchreport import Figure  # noqa: E402
from cowslip.common import Stop  # noqa: E402


def figures(**at):
    """name__x=median; _ for . in a name."""
    out = {}
    for word, value in at.items():
        name, x = word.rsplit("__", 1)
        out[name.replace("_", "."), int(x)] = Figure(value, value)
    return out


RESULTS = {"cowslip": figures(fork_exit__1=100, fork_exit__16=100, call_null__0=50, snapshot_series_max__7=3),
           "linux": figures(fork_exit__1=400, fork_exit__16=4000, call_null__0=100)}


class Lines(unittest.TestCase):
    def test_figures_are_taken_from_noise(self):
        boot = bench.Boot([])
        for line in ("[    0.1] something", "@ fork.exit 16 12345 12000", "x@ call.null 0 7 6", "@ broken",
                     "@ end 0 0 0"):
            boot.take(line)
        self.assertEqual(boot.figures, {("fork.exit", 16): Figure(12345, 12000), ("call.null", 0): Figure(7, 6)})
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
        wall = {"cowslip": figures(fork_exit__16=3), "linux": figures(fork_exit__16=4)}
        lines = benchreport.table(RESULTS, wall, {"cowslip": figures(fork_exit__16=200)}).splitlines()
        self.assertEqual(len(lines), 4)  # a series is for a picture
        self.assertEqual(lines[2].split(), ["fork.exit", "16", "100", "4000", "0.03", "0.75", "0.50"])
        self.assertEqual(lines[3].split(), ["call.null", "50", "100", "0.50", "-", "-"])

    def test_json_comes_back(self):
        self.assertEqual(benchreport.from_json(benchreport.as_json(RESULTS)), RESULTS)

    def test_a_file_that_is_not_ours_is_no_last_run(self):
        with tempfile.TemporaryDirectory() as folder:
            for text in ("", "[]", '{"figures": {"cowslip": {"fork": {"1": 7}}}}'):
                (Path(folder) / "results.json").write_text(text)
                self.assertEqual(benchreport.last_run(Path(folder)), {})

    def test_plots_need_two_points(self):
        self.assertIn("plot $cowslip", benchreport.plot_commands(benchreport.PLOTS[1], RESULTS))
        self.assertEqual(benchreport.plot_commands(benchreport.PLOTS[0], RESULTS), "")
        self.assertIn('0.5000 "call.null"', benchreport.bar_commands(RESULTS))
        self.assertEqual(benchreport.bar_commands({"cowslip": RESULTS["cowslip"]}), "")

    def test_page_stands_alone(self):
        page = benchreport.page(RESULTS, {}, {"QEMU": "<7>"}, ["<?xml?><svg/>"])
        self.assertIn("&lt;7&gt;", page)
        self.assertNotIn("http", page)
        self.assertNotIn("<?xml", page)


class Judgement(unittest.TestCase):
    """The check must be able to fail: a run that holds everything, then each thing broken by itself."""

    def setUp(self):
        at = {}
        for suffix, xs in (("", (0, 1, 16)), (".regions", (20, 2000)), (".files", (3, 300))):
            for x in xs:
                at.update({(n + suffix, x): 1000 for n in ("fork.call", "fork.exit", "fork.exec", "spawn.exec")})
        for x in (1, 16):
            at.update({(n, x): 2000 for n in ("write.first", "write.worst", "write.walk", "write.random", "write.walk.child",
                                              "write.random.child")})
        at.update({(n, 0): 10 ** 6 for n in ("program.subshells", "program.commands")})
        self.good = {key: Figure(v, v) for key, v in at.items()}

    def wrong(self, **changed):
        now = {**self.good, **figures(**changed)}
        then = {"cowslip": self.good, "cowslip-eager": self.good}
        return baseline.judge({"cowslip": now, "cowslip-eager": self.good}, then)

    def test_what_is_good_passes(self):
        self.assertEqual(self.wrong(), [])
        self.assertEqual(self.wrong(program_commands__0=900000), [])

    def test_each_budget_can_be_exceeded(self):
        for change, word in (({"fork_call__0": 5001}, "parent's side"), ({"fork_exit__16": 1051}, "within 5 %"),
                             ({"fork_exec_regions__2000": 1051}, "within 5 %"), ({"fork_exec_files__300": 1051}, "posix_spawn"),
                             ({"write_first__16": 15001}, "one store"), ({"write_worst__1": 15001}, "one store"),
                             ({"write_walk__16": 2061}, "3 % over"), ({"write_random_child__1": 2201}, "budget is 2200"),
                             ({"program_subshells__0": 1000001}, "small process"), ({"fork_exit__0": 1001}, "small process")):
            said = "\n".join(self.wrong(**change))
            self.assertIn(word, said, change)
            self.assertIn("the budget is", said)

    def test_growth_is_found_and_named(self):
        self.assertIn("program.commands: 1030001 instructions", "\n".join(self.wrong(program_commands__0=1030001)))
        self.assertNotIn("baseline", "\n".join(self.wrong(program_commands__0=1030000)))

    def test_one_tick_of_the_clock_is_no_growth(self):
        self.assertEqual(self.wrong(spawn_exec__1=1100), [])
        self.good["call.null", 0] = Figure(340, 340)
        self.assertEqual(self.wrong(call_null__0=350), [])
        self.assertIn("call.null", self.wrong(call_null__0=351)[0])  # an average has no ticks

    def test_what_is_missing_is_wrong(self):
        then = {"cowslip": {**self.good, ("gone", 1): Figure(1, 1)}, "cowslip-eager": self.good}
        said = baseline.judge({"cowslip": {**self.good, ("new", 1): Figure(1, 1)}, "cowslip-eager": self.good}, then)
        self.assertEqual(len(said), 2, said)
        self.assertGreater(len(baseline.judge({"cowslip": {}, "cowslip-eager": {}}, {})), 5)


if __name__ == "__main__":
    unittest.main()
