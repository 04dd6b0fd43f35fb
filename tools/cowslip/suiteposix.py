"""
The Open POSIX Test Suite, from Debian's source package posixtestsuite: 1,800 small
programs, one for each assertion of IEEE 1003.1-2001 about threads, signals, timers,
semaphores, message queues, asynchronous I/O, memory and scheduling.
"""
import re
import subprocess
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from . import packages, suite
from .common import BUILD

SOURCE = "posixtestsuite"
LIMIT = 60   # seconds for one test
JOBS = 12    # tests at a time: most of them sleep
FEW = 40     # so few run one after another: those that measure time, or send a signal before its handler is set, disturb each other
FLAGS = ["-O2", "-w", "-std=gnu99", "-D_POSIX_C_SOURCE=200112L", "-D_GNU_SOURCE"]
FORGOTTEN = ["-include", "signal.h", "-include", "fcntl.h", "-include", "stdlib.h"]
# These take all of a CPU by their priority, or change the date: nothing else must run meanwhile.
ALONE = re.compile(r"sched|sem_unlink|sem_post|clock_settime|functional")
ENDLESS = re.compile(r"/pi_test/|/robust_test/|sem_philosopher")  # measure for minutes, are for another system, never end
WORDS = {"functional/semaphores/sem_lock": ["5"]}  # arguments, as its run.sh gives them


def source() -> Path:
    return packages.source(SOURCE, ["build_Werror_fixes.patch"])


def tests(tree: Path) -> List[Path]:
    found = [f for f in tree.glob("conformance/**/*.c") if re.fullmatch(r"\d+-.*", f.stem)]
    found += [f for f in tree.glob("functional/**/*.c") if not ENDLESS.search(str(f))]
    return sorted(f.relative_to(tree) for f in found)


def scripts(tree: Path) -> Dict[str, Tuple[str, str]]:
    """Scripts that give a program its argument: name -> (program, argument). Those that only name another test are no tests."""
    out = {}
    for f in sorted(tree.glob("conformance/**/*.sh")):
        found = re.search(r"^(\S+)\.test (\d+)$", f.read_text(errors="replace"), re.M)
        if found:
            out[str(f.relative_to(tree).with_suffix(""))] = found.groups()
    return out


def compile_test(tree: Path, file: Path, out: Path) -> Optional[str]:
    """None, or what the compiler said. Without main it is compiled only: that is the test."""
    out.parent.mkdir(parents=True, exist_ok=True)
    whole = re.search(r"\bmain\s*\(", (tree / file).read_text(errors="replace"))
    include = ["-I", str(tree / "include"), "-I", str(tree / "functional/threads/include")]
    target = ["-s", "-o", str(out)] if whole else ["-c", "-o", str(out) + ".o"]
    words = [*FLAGS, *include, str(tree / file), *target, "-lpthread", "-lrt", "-lm"]
    done = subprocess.run([suite.CC, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    if done.returncode and "interfaces" in str(file):  # some forgot to include what declares what they use
        done = subprocess.run([suite.CC, *FORGOTTEN, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", check=False)
    return done.stdout if done.returncode else None


def compiled(tree: Path) -> Path:
    """All programs, once; NAME.unbuilt beside them has what the compiler said."""
    out = BUILD / suite.ARCH / "suites" / "posix"
    stamp, what = out / ".complete", repr((FLAGS, FORGOTTEN))
    if stamp.exists() and stamp.read_text() == what:
        return out

    def one(file: Path) -> None:
        program = out / file.with_suffix("")
        why = compile_test(tree, file, program)
        if why is not None:
            program.with_suffix(".unbuilt").write_text(why)
    suite.in_parallel([lambda f=f: one(f) for f in tests(tree)], "compiling the tests")
    stamp.write_text(what)
    return out


def commands(tree: Path, out: Path) -> List[str]:
    lines = []
    for f in tests(tree):
        name = str(f.with_suffix(""))
        if (out / name).exists() and "buildonly" not in name:
            lines.append((name, [f"/suite/{name}", *WORDS.get(name, [])]))
    for name, (program, argument) in scripts(tree).items():
        if (out / program).exists():
            lines.append((name, [f"/suite/{program}", argument]))
    return ["!" * bool(ALONE.search(name)) + " ".join([name, *words]) for name, words in lines]


def built(tree: Path, out: Path) -> suite.Results:
    """Tests that the compiler alone decides, and those that could not be built."""
    results = {}
    for f in tests(tree):
        program = out / f.with_suffix("")
        if not program.exists():
            results[str(f.with_suffix(""))] = "pass" if Path(str(program) + ".o").exists() else "unbuilt"
    return results


def prepare(patterns: List[str]) -> suite.Guest:
    tree = source()
    out = compiled(tree)
    lines = [line for line in commands(tree, out) if not patterns or any(p in line.split()[0] for p in patterns)]
    folder = out.parent / "posix-root"
    folder.mkdir(exist_ok=True)
    (folder / "list").write_text("\n".join(lines) + "\n")
    adds = [f"{out / part}:/suite/{part}" for part in ("conformance", "functional")]
    adds += [f"{suite.runner()}:/suite/runner", f"{folder / 'list'}:/suite/list"]
    jobs = 1 if len(lines) <= FEW else JOBS
    return suite.Guest(adds, f"/suite/runner {LIMIT} {jobs} < /suite/list\n", ["libc6"], mem="2G", limit=3000, tests=len(lines))


def results(text: str) -> suite.Results:
    tree = source()
    got = {**built(tree, compiled(tree)), **suite.runner_results(text)}
    return dict(sorted(got.items()))
