"""
`cowslip test`: host tests, guest tests on this machine's Linux and in Cowslip,
boot tests, other people's suites. Every run of QEMU has a time limit; what fails shows its output.
"""
import concurrent.futures
import functools
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Dict, List, NamedTuple, Tuple

from . import build, machines, museum
from .common import BUILD, TOP, Progress, Stop, say

GUEST_LIMIT = 600  # seconds for all guest tests in one boot
BOOT_LIMIT = 2700  # seconds for all boot tests
NOT_EMULATED = {"machine", "limits", "rights"}  # guest tests of what the user emulator, which is the oracle, has not: traps, limits, set-id programs
QUICK_BOOT = "test_first_light[options0]"


class Result(NamedTuple):
    passed: int
    failed: int
    output: str


def wanted(name: str, patterns: List[str]) -> bool:
    return not patterns or any(p in name for p in patterns)


def execute(words: List[str], limit: float) -> Tuple[int, str]:
    with subprocess.Popen(words, cwd=TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          start_new_session=True) as child:
        try:
            out, _ = child.communicate(timeout=limit)
            return child.returncode, out.decode(errors="replace")
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)  # what it has started, too
            out, _ = child.communicate()
            return -1, out.decode(errors="replace") + f"\n(no end after {limit:.0f} s)"


def cmocka(words: List[str], limit: float) -> Result:
    status, text = execute(words, limit)
    ok, bad = len(re.findall(r"\[ +OK \]", text)), len(re.findall(r"^\[  FAILED  \] \w+$", text, re.M))
    return Result(ok, bad if bad or status == 0 else 1, text)


def tap(text: str) -> Tuple[int, int]:
    """Counts of TAP; a plan that was not fulfilled is a failure."""
    ok, bad = len(re.findall(r"^ok \d+", text, re.M)), len(re.findall(r"^not ok \d+", text, re.M))
    planned = [int(n) for n in re.findall(r"^1\.\.(\d+)", text, re.M)]
    return ok, bad + max(0, sum(planned) - ok - bad)


def tap_run(words: List[str], limit: float, programs: int = 1) -> Result:
    status, text = execute(words, limit)
    ok, bad = tap(text)
    plans = len(re.findall(r"^1\.\.\d+", text, re.M))
    if status != 0 or plans != programs:
        bad = max(bad, 1)
    return Result(ok, bad, text)


PYTEST = ["/usr/bin/python3", "-B", "-m", "pytest", "-p", "no:cacheprovider", "--tb=short"]  # Debian's pytest is that one's


def boot_names(run: "Run") -> List[str]:
    """As pytest names them: FILE::TEST[PARAMETERS]."""
    status, text = execute([*PYTEST, "-q", "--co", "test/boot"], 60)
    if status:
        run.add("boot, collecting the tests", Result(0, 1, text), 0)
    return [line for line in text.splitlines() if line.startswith("test/boot/") and "::" in line]


class Run:
    def __init__(self, arch: str) -> None:
        self.arch = arch
        self.passed = self.failed = 0
        self.lock = threading.Lock()

    def add(self, name: str, result: Result, seconds: float) -> None:
        word = "FAILED" if result.failed else "ok"
        with self.lock:
            self.passed += result.passed
            self.failed += result.failed
            print(f"{name[:64]:64} {word:6} {result.passed:5} passed {seconds:7.1f} s", flush=True)
            if result.failed and result.output:
                print(result.output, flush=True)

    def do(self, name: str, what, *args) -> None:
        start = time.monotonic()
        with Progress(name):
            result = what(*args)
        self.add(name, result, time.monotonic() - start)


def host_tests(run: Run, patterns: List[str]) -> None:
    programs = sorted(p.stem for p in (TOP / "test" / "host").glob("test_*.c"))
    programs = [p for p in programs if wanted(f"host/{p}", patterns) and not p.startswith("test_vm")]
    if programs:
        build.make("building the host tests", [f"build/host-{run.arch}/{p}" for p in programs] + [f"ARCH={run.arch}"])
    for p in programs:
        run.do(f"host/{p}", cmocka, [str(BUILD / f"host-{run.arch}" / p)], 600)
    vm_tests(run, patterns)
    scripts = sorted((TOP / "test" / "host").glob("test_*.py"))
    for s in scripts:
        if wanted(f"host/{s.stem}", patterns):
            run.do(f"host/{s.stem}", unittest, s)


# The VM core against its model: variant, seeds, steps for each. Ten million operations in all.
VM_RUNS = [("riscv64-small", range(1, 6), 1_000_000, []), ("x86_64-small", range(11, 15), 1_000_000, []),
           ("riscv64-small", range(41, 42), 500_000, ["--overcommit", "2"]),
           ("x86_64-small", range(42, 43), 500_000, ["--fork", "eager"]),
           ("riscv64", range(21, 22), 100_000, []), ("x86_64", range(31, 32), 100_000, [])]
# The same with threads, under ThreadSanitizer; and with a mistake planted, which must be found.
VM_THREADS = [(f"{arch}-threads", seed) for arch in ("riscv64", "x86_64") for seed in (1, 2, 3)]
VM_PLANTS = [(variant, plant) for variant in ("riscv64-small", "x86_64-small") for plant in ("count", "seal", "flush")]


def vm_tests(run: Run, patterns: List[str]) -> None:
    """Two at a time: these are what takes longest."""
    runs = [(cmocka, f"{v}/test_vm", ["--seed", str(seed), "--steps", str(steps), *more])
            for v, seeds, steps, more in VM_RUNS for seed in seeds]
    runs += [(cmocka, f"{v}/test_vm_{t}", []) for v in ("riscv64", "x86_64") for t in ("calls", "catalogue")]
    runs += [(cmocka, f"{v}/test_vm_threads", ["--seed", str(seed), "--steps", "200000"]) for v, seed in VM_THREADS]
    runs += [(planted, f"{v}/test_vm", ["--plant", plant]) for v, plant in VM_PLANTS]
    named = [(" ".join(["host/vm", program.split("/")[0], *(options or [program.rpartition("_")[2]])]), how, program, options)
             for how, program, options in runs]
    named = [n for n in named if wanted(n[0], patterns)]
    if not named:
        return
    build.make("building the VM core for the host", sorted({f"build/host-vm/{n[2]}" for n in named}))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        started = [(name, pool.submit(timed, how, [str(BUILD / "host-vm" / program), *options], 1200))
                   for name, how, program, options in named]
        with Progress("host/vm"):
            for name, future in started:
                run.add(name, *future.result())


def museum_tests(run: Run, patterns: List[str]) -> None:
    def tell(o: museum.Outcome) -> None:
        caught = o.caught_by is not None
        run.add(f"museum/{o.fault.name}", Result(int(caught), int(not caught), "" if caught else "no test finds this fault"), o.seconds)

    try:
        museum.run(patterns, tell)
    except Stop as e:
        run.add("museum", Result(0, 1, str(e)), 0)


# The protocol of shared tables (test/model/table.pml): whole, and with a step left out, which must be found.
MODEL_RUNS = [([], True), (["THREE"], True)] + [([step], False) for step in (
    "NO_FORK_FLUSH", "NO_SEAL", "NO_COUNT", "NO_COPY_FLUSH", "DROP_EARLY", "KEEP_SEALED_MARK")] + [
    (["NAIVE_COPY", "THREE"], False)]


def model_tests(run: Run, patterns: List[str]) -> None:
    for flags, holds in MODEL_RUNS:
        name = " ".join(["model/table", *flags])
        if wanted(name, patterns):
            run.do(name, model, flags, holds)


def model(flags: List[str], holds: bool) -> Result:
    """Spin makes a checker of the model, which looks at every state; `holds`: it must find no error."""
    folder = BUILD / "model"
    folder.mkdir(parents=True, exist_ok=True)
    script = (f"cd {folder} && spin {' '.join('-D' + f for f in flags)} -a {TOP / 'test' / 'model' / 'table.pml'} && "
              "cc -O2 -w -DSAFETY -DCOLLAPSE -DVECTORSZ=2048 -o pan pan.c && ./pan -m400000")
    status, text = execute(["sh", "-c", script], 600)
    errors = re.search(r"errors: (\d+)", text)
    good = status == 0 and errors and (errors.group(1) == "0") == holds
    if holds and "Search not completed" in text:
        good = False
    states = re.search(r"(\d+) states, stored", text)
    if good and holds and states:
        say(f"model/table: {states.group(1)} states")
    return Result(int(bool(good)), int(not good), text)


def planted(words: List[str], limit: float) -> Result:
    """A program that must find a mistake: ends with a panic."""
    status, text = execute(words, limit)
    found = status != 0 and "panic:" in text
    return Result(int(found), int(not found), text)


def timed(what, *args) -> Tuple[Result, float]:
    start = time.monotonic()
    return what(*args), time.monotonic() - start


def unittest(script: Path) -> Result:
    status, text = execute([sys.executable, "-B", str(script)], 120)
    ran = sum(int(n) for n in re.findall(r"^Ran (\d+) test", text, re.M))
    bad = sum(int(n) for n in re.findall(r"(?:failures|errors)=(\d+)", text))
    return Result(ran - bad, bad if bad or status == 0 else 1, text)


def guest_tests(run: Run, patterns: List[str]) -> None:
    sources = TOP / "test" / "guest"
    programs = sorted(p.stem for p in [*sources.glob("*.c"), *(sources / run.arch).glob("*.c")])
    programs = [p for p in programs if wanted(f"guest/{p}", patterns)]
    if not programs:
        return
    build.make("building the guest tests", [f"build/{run.arch}/guest/{p}" for p in programs] + [f"ARCH={run.arch}"])
    folder = BUILD / run.arch / "guest"
    for p in sorted(set(programs) - NOT_EMULATED):
        run.do(f"guest/{p} on Linux", tap_run, [machines.emulator(run.arch), str(folder / p)], 120)
    adds = [w for p in programs for w in ("--add", f"{folder / p}:/tests/{p}")]
    script = "status=0; for t in /tests/*; do echo \"# $t\"; $t || status=1; done; exit $status"
    for cpus, kernel in ((1, []), (4, ["--debug"]), (4, [])):
        name = f"guest, {len(programs)} programs, {cpus} CPU{'s' if cpus > 1 else ''}{' debug' if kernel else ''}"
        run.do(name, tap_run, ["./cowslip", "run", "--arch", run.arch, "--timeout", str(GUEST_LIMIT), "--cpus", str(cpus), *kernel, *adds, "--",
                               "sh", "-c", script], GUEST_LIMIT + 60, len(programs))


def bench_tests(run: Run, patterns: List[str]) -> None:
    if wanted("bench/budgets and baseline", patterns):
        run.do("bench/budgets and baseline", bench_check, run.arch)


def bench_check(arch: str) -> Result:
    """Counts of instructions: the same on any host."""
    status, text = execute(["./cowslip", "bench", "--arch", arch, "--quick", "--check", "--out", str(BUILD / f"bench-check-{arch}")], 600)
    said = re.search(r"(\d+) budgets and (\d+) figures of the baseline checked, (\d+) wrong", text)
    if not said or (status == 0) != (said.group(3) == "0"):
        return Result(0, 1, text)
    held, figures, wrong = map(int, said.groups())
    return Result(held + figures - wrong, wrong, "\n".join(line for line in text.splitlines() if "check:" in line))


# Other people's tests; stress takes too long. Limits in seconds, with what a first run fetches and compiles.
SUITES = {"mm": 600, "nolibc": 300, "nolibc-init": 300, "shells": 600, "busybox": 1200, "posix": 2400}
SLEEPER = "posix"  # its programs wait most of their time: it goes beside all else


def suite_test(run: Run, name: str, patterns: List[str]) -> None:
    if wanted(f"suite/{name}", patterns):
        run.do(f"suite/{name}", suite_run, run.arch, name, SUITES[name])


def suite_run(arch: str, name: str, limit: float) -> Result:
    """What is as expected has passed, whether it passes or not."""
    status, text = execute(["./cowslip", "test", "--arch", arch, "--suite", name], limit)
    said = re.search(r"^(\d+) as expected, (\d+) not$", text, re.M)
    if not said or (status == 0) != (said.group(2) == "0"):
        return Result(0, 1, text[-8000:])
    return Result(int(said.group(1)), int(said.group(2)), text[-8000:])


def boot_name(name: str) -> str:
    return name.replace("test/boot/", "boot/").replace(".py::", "/")


# What takes longest begins first, so that no lane waits long for another at the end.
LONG_BOOTS = ["test_failnth", "test_callfuzz", "test_boot", "test_bochs"]


def boot_files(run: Run, patterns: List[str]) -> Dict[str, List[str]]:
    """The tests that are wanted, by file."""
    files: Dict[str, List[str]] = {}
    for name in boot_names(run):
        if wanted(boot_name(name), patterns):
            files.setdefault(Path(name.split("::")[0]).stem, []).append(name)
    if files:
        build.make("building the boot tests' programs", ["boot-programs", "bench-programs", *(["xv6-programs"] if run.arch == "riscv64" else []),
                                                         f"ARCH={run.arch}"])
    return dict(sorted(files.items(), key=lambda f: LONG_BOOTS.index(f[0]) if f[0] in LONG_BOOTS else len(LONG_BOOTS)))


def boot_tests(run: Run, names: List[str]) -> None:
    """One line for each test as it ends; what the failing ones said comes last."""
    with subprocess.Popen([*PYTEST, "-v", *names], cwd=TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, env={**os.environ, "PYTHONUNBUFFERED": "1"}) as child:
        limit = threading.Timer(BOOT_LIMIT, child.kill)
        limit.start()
        ran, text, start = 0, [], time.monotonic()
        for line in child.stdout:
            text.append(line.decode(errors="replace"))
            ended = re.match(r"(test/boot/.*) (PASSED|FAILED|ERROR|SKIPPED)(?: \(.*)? +\[ *\d+%\]", text[-1])
            if ended:
                good = ended.group(2) in ("PASSED", "SKIPPED")
                run.add(boot_name(ended.group(1)), Result(int(ended.group(2) == "PASSED"), int(not good), ""),
                        time.monotonic() - start)
                ran, start = ran + 1, time.monotonic()
        limit.cancel()
    report = "".join(text)
    if child.returncode:
        print(report[max(0, report.find("= FAILURES")):], flush=True)
    if ran < len(names):
        run.add("boot, tests that never ended", Result(0, len(names) - ran, report[-4000:]), time.monotonic() - start)


def booted_tests(run: Run, patterns: List[str]) -> None:
    """What boots the kernel, two at a time: an emulated machine takes one of the host's CPUs."""
    boots = [functools.partial(boot_tests, run, names) for names in boot_files(run, patterns).values()]
    suites = [functools.partial(suite_test, run, name, patterns) for name in SUITES if name != SLEEPER]
    jobs = [*boots[:1], functools.partial(guest_tests, run, patterns), *boots[1:2], *suites, functools.partial(bench_tests, run, patterns), *boots[2:]]
    with concurrent.futures.ThreadPoolExecutor(2) as lanes:
        for job in [lanes.submit(j) for j in jobs]:
            job.result()


def all_tests(run: Run, patterns: List[str]) -> None:
    host_tests(run, patterns)
    model_tests(run, patterns)
    if run.arch == "riscv64":  # its faults are in what both machines share
        museum_tests(run, patterns)
    booted_tests(run, patterns)


def run(arch: str, quick: bool, patterns: List[str]) -> int:
    start = time.monotonic()
    result = Run(arch)
    os.environ["COWSLIP_ARCH"] = arch  # for the boot tests (test/boot/guest.py)
    build.kernel(arch, False)
    build.base_archive(arch)
    if not quick:
        build.kernel(arch, True)
    if quick:
        host_tests(result, patterns)
        for names in boot_files(result, [QUICK_BOOT]).values():
            boot_tests(result, names)
    else:
        with concurrent.futures.ThreadPoolExecutor(2) as lanes:
            for job in [lanes.submit(suite_test, result, SLEEPER, patterns), lanes.submit(all_tests, result, patterns)]:
                job.result()
    say(f"{time.monotonic() - start:.0f} s in all")
    print(f"{result.passed} passed, {result.failed} failed", flush=True)
    if result.passed + result.failed == 0:
        say("no test has such a name")
        return 2
    return 1 if result.failed else 0
