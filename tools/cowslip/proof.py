"""
`cowslip proof`: CBMC looks at every state that the bounds of test/proof allow, and
at every way through an operation of kernel/vm's own sources. docs/proof.md says what
is proved and what is not.

CBMC 6.6 makes a formula of the program, CaDiCaL finds that it has no solution: then no
assertion can fail and no loop goes on beyond its bound. Both are Debian 13's, fetched
into build/ and run with their own libraries.
"""
import concurrent.futures
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple

from . import museum, packages
from .common import BUILD, TOP, Progress, Stop, say

PLACE = BUILD / "proof"
LIMIT = 420  # seconds for one operation


class Operation(NamedTuple):
    name: str
    fresh: int   # tables that may be allocated
    loops: Dict[str, int]  # bounds that are not UNWIND
    frees: int   # how deep a drop goes: levels of node_put
    machines: Tuple[str, ...] = ("riscv64", "x86_64")


UNWIND = 3
OWN_LOOPS = 24  # of test/proof itself: over frames and pages
RESERVE = ("reserve_tables.0", "pt_reserve_release.0")
OPERATIONS = [Operation("fork", 0, {}, 1), Operation("switch", 0, {}, 1),
              Operation("read", 0, {}, 1, ("x86_64",)),  # with Sv39's entries it was not decided in 420 s
              Operation("exit", 0, {}, 4)]
SIZES = ["-DMIDS=2", "-DLEAVES=3", "-DDATAS=3", "-DPT_BITS=1"]
MACHINES = {"riscv64": [], "x86_64": ["-DPROOF_LEVELS=3"]}

# Planted faults of the museum in what these operations run: each must make the proof fail.
MUTANTS = [("fork-seals-only-the-child", "fork"), ("fork-child-unsealed", "fork"), ("fork-trusts-a-child-sealed", "fork"),
           ("fork-counts-nothing", "fork"), ("fork-no-flush", "fork"), ("fork-flushes-here-only", "fork"),
           ("children-kept", "exit"), ("exit-keeps-the-tree", "exit"),
           ("flush-all-not-here", "fork"), ("flush-all-not-there", "fork"), ("switch-bit-not-set", "switch"),
           ("edge-seal-stays-valid", "fork")]


class Tools:
    def __init__(self) -> None:
        if os.uname().machine != "x86_64":
            raise Stop("the proof needs an amd64 host: CBMC comes from Debian as a program")
        self.trees = packages.with_dependencies("amd64", ["cbmc", "cadical"])

    def words(self, program: str) -> List[str]:
        """Runs a program of Debian 13 with its own libraries on any Debian."""
        folders = [t / d for t in self.trees for d in ("usr/lib/x86_64-linux-gnu", "usr/lib")]
        loader = next(p for t in self.trees for p in t.glob("usr/lib64/ld-linux-x86-64.so.2"))
        path = next(p for t in self.trees for p in t.glob(f"usr/bin/{program}"))
        return [str(loader), "--library-path", ":".join(map(str, folders)), str(path)]


def execute(words: List[str], limit: float) -> Tuple[int, str]:
    from .testing import execute as run_with_limit
    return run_with_limit(words, limit)


class Proof:
    """One operation on one machine; `overlay`: changed files, and where test/proof is."""

    def __init__(self, tools: Tools, machine: str, operation: Operation, overlay: Path = TOP, more: Tuple[str, ...] = ()):
        self.tools, self.operation, self.overlay = tools, operation, overlay
        self.name = f"{operation.name}, {machine}"
        includes = [f"-I{overlay / d}" for d in ("test/proof", "kernel", f"kernel/arch/{machine}/include")]
        self.words = [*tools.words("cbmc"), str(overlay / "test/proof/tree.c"), f"-DOPERATION=op_{operation.name}", "-DCOWSLIP_HOST",
                      f"-DFRESHES={operation.fresh}", *SIZES, *MACHINES[machine], *more, *includes, "--no-standard-checks",
                      "--unwinding-assertions", "--object-bits", "8", "--slice-formula"]
        self.formula = PLACE / f"{machine}-{operation.name}{''.join(more)}.cnf"

    def bounds(self) -> List[str]:
        _, text = execute([*self.words, "--show-loops"], 60)
        own = [name for name, file in re.findall(r"^Loop (\S+):\n  file (\S+) line", text, re.M) if "kernel/" not in file]
        sets = {**{n: 1 + self.operation.fresh for n in RESERVE}, "drops_finish.0": 1, "node_put": self.operation.frees,
                "table_clear": self.operation.frees, **{n: OWN_LOOPS for n in own}, **self.operation.loops}
        return ["--unwind", str(UNWIND), "--unwindset", ",".join(f"{n}:{k}" for n, k in sets.items())]

    def holds(self) -> Tuple[Optional[bool], str]:
        """None: not known within the limit."""
        bounds = self.bounds()
        PLACE.mkdir(parents=True, exist_ok=True)
        self.formula.unlink(missing_ok=True)
        status, text = execute([*self.words, *bounds, "--dimacs", "--outfile", str(self.formula)], LIMIT)
        if not self.formula.exists():
            raise Stop(f"proof of {self.name}: no formula ({status}):\n{text[-2000:]}")
        with open(self.formula, encoding="ascii") as f:
            size = f.readline().split()
        status, text = execute([*self.tools.words("cadical"), "-q", "-n", str(self.formula)], LIMIT)
        self.formula.unlink()
        answer = {10: False, 20: True}.get(status)
        return answer, f"{int(size[3]):,} clauses"

    def broken_property(self) -> str:
        """CBMC with its own solver stops at the first that fails."""
        _, text = execute([*self.words, *self.bounds(), "--stop-on-fail"], LIMIT)
        found = re.search(r"Violated property:\n.*\n  (.*)\n", text)
        return found.group(1) if found else ""


def codec(tools: Tools, machine: str) -> bool:
    """What the proof puts in the place of arithmetic."""
    status, text = execute([*tools.words("cbmc"), str(TOP / "test/proof/codec.c"), "-DCOWSLIP_HOST",
                            *[f"-I{TOP / d}" for d in ("test/proof", "kernel", f"kernel/arch/{machine}/include")],
                            "--no-standard-checks", "--unwind", "4", "--unwinding-assertions"], 120)
    return status == 0 and "VERIFICATION SUCCESSFUL" in text


def mutated(fault: museum.Fault) -> Path:
    overlay = PLACE / "faults" / fault.name
    shutil.rmtree(overlay, ignore_errors=True)
    for name in ("kernel", "test/proof"):
        shutil.copytree(TOP / name, overlay / name)
    for file, text in museum.planted(fault).items():
        (overlay / file).write_text(text)
    return overlay


def kills(tools: Tools, fault: museum.Fault, operation: Operation) -> str:
    overlay = mutated(fault)
    found = Proof(tools, "riscv64", operation, overlay).broken_property()
    shutil.rmtree(overlay)
    return found


def prove(tools: Tools, machine: str, operation: Operation, reached: bool) -> Tuple[bool, str]:
    """`reached`: the last line is an error, which must be found; else the assumptions exclude each other."""
    start = time.monotonic()
    p = Proof(tools, machine, operation, more=("-DREACHED",) if reached else ())
    answer, size = p.holds()
    good = answer is (not reached)
    what = "its end is reached" if reached else "proved"
    said = what if good else "NOT KNOWN" if answer is None else "NOT REACHED" if reached else f"NOT PROVED: {p.broken_property()}"
    return good, f"{p.name:24} {said}, {size}, {time.monotonic() - start:.0f} s"


def run(mutants: bool) -> int:
    tools = Tools()
    start = time.monotonic()
    good = True
    operations = {o.name: o for o in OPERATIONS}
    for machine in MACHINES:
        ok = codec(tools, machine)
        good = good and ok
        print(f"{'arithmetic, ' + machine:24} {'proved' if ok else 'NOT PROVED'}", flush=True)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool, Progress("the proof"):
        for future in concurrent.futures.as_completed([pool.submit(prove, tools, m, o, reached) for o in OPERATIONS for m in o.machines
                                                       for reached in (False, True)]):
            ok, line = future.result()
            good = good and ok
            print(line, flush=True)
        if mutants:
            faults = {f.name: f for f in museum.all_faults()}
            futures = {pool.submit(kills, tools, faults[f], operations[o]): (f, o) for f, o in MUTANTS}
            for future in concurrent.futures.as_completed(futures):
                name, operation = futures[future]
                found = future.result()
                good = good and bool(found)
                print(f"{name:32} {operation:8} {found or 'NOT FOUND'}", flush=True)
    say(f"{time.monotonic() - start:.0f} s in all")
    return 0 if good else 1
