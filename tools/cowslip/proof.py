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
LIMIT = 420  # seconds for one case

Case = Dict[str, int]  # definitions; test/proof/tree.c says what they mean


class Operation(NamedTuple):
    name: str
    cases: List[Case]
    fresh: int = 2  # tables that may be allocated
    frees: int = 1  # how deep a drop goes: levels of node_put
    unwind: int = 3


def ways(there: int, shared: Tuple[int, ...]) -> List[Case]:
    """Towards page 1 and page 2, so each entry of each level once; with two or three sharers."""
    return [{"PAGE": page, "THERE": there, "SHARED": s, "SHARERS": 1 + page, "BELOW": page} for page in (1, 2) for s in shared]


def ranges(shared: Tuple[int, ...], page: int = 1, **more: int) -> List[Case]:
    """One page that is there, with others beside it in each table."""
    return [{"PAGE": page, "THERE": 3, "SHARED": s, "SIBLINGS": 3, "FIRST": page, "END": page + 1, **more} for s in shared]


def failing(case: Case, allocations: int) -> List[Case]:
    """Each of them fails in turn: those of tables, and then of a page."""
    return [{**case, "FAILS": n} for n in range(allocations)]


PRESENT = ways(3, (0, 1, 2))
MISSING = [*ways(0, (0,)), *ways(1, (0, 2)), *ways(2, (0, 1, 2))]
OPERATIONS = [
    Operation("paths", [{}], 0), Operation("fork", [{}], 0), Operation("switch", [{}], 0), Operation("exit", [{}], 0, 3),
    Operation("read", PRESENT, 0),
    Operation("write", [*PRESENT, *ranges((0,)), *failing(PRESENT[2], 3)]),
    Operation("fill", [*MISSING, *failing(MISSING[0], 3), *failing(ways(2, (2,))[0], 3)]),
    Operation("grant", [*PRESENT, *failing(PRESENT[2], 2)]),
    Operation("copy_ahead", [*ways(3, (1, 2)), *failing(ways(3, (1,))[0], 1)], 1),
    Operation("protect", [*ranges((0, 1, 2), TAKE=2), *ranges((0, 1, 2), TAKE=7), *ranges((0, 1, 2), page=2, TAKE=7),
                          *failing(ranges((2,), TAKE=7)[0], 2)]),
    Operation("unmap", [*ranges((0,), RESERVED=0), *ranges((1,), RESERVED=2), *ranges((2,), RESERVED=4),
                        *failing(ranges((2,), RESERVED=4)[0], 4)], 4, 2),
    Operation("fork_eager", [*ranges((0, 1, 2)), *failing(ranges((2,))[0], 3)], 3),
]
MACHINES = {"riscv64": [], "x86_64": ["-DPROOF_LEVELS=3"]}
OWN_LOOPS = 7  # of test/proof itself
RESERVE = ("reserve_tables.0", "pt_reserve_release.0", "drops_finish.0")

# Planted faults of the museum in what these operations run: each must make the proof fail.
MUTANTS: List[Tuple[str, str, Case]] = [
    *[(f, "fork", {}) for f in ("fork-seals-only-the-child", "fork-child-unsealed", "fork-trusts-a-child-sealed",
                                "fork-counts-nothing", "fork-no-flush", "fork-flushes-here-only", "flush-all-not-here",
                                "flush-all-not-there", "edge-seal-stays-valid")],
    ("children-kept", "exit", {}), ("exit-keeps-the-tree", "exit", {}), ("switch-bit-not-set", "switch", {}),
    ("asid-flush-not-counted", "fork", {}), ("asid-of-somebody-else", "switch", {}), ("asid-always-kept", "switch", {}),
    *[(f, "write", PRESENT[0]) for f in ("takeover-keeps-mark", "copied-page-kept", "break-no-flush", "break-flushes-here-only",
                                         "break-writable-at-once")],
    *[(f, "write", PRESENT[1]) for f in ("copy-leaves-counts-nothing", "copied-table-kept", "copy-source-keeps-w",
                                         "copy-forgets-used")],
    *[(f, "write", PRESENT[2]) for f in ("copy-edges-counts-nothing", "copy-edges-source", "copy-edges-destination")],
    ("reserve-fails-half-way", "write", {**PRESENT[2], "FAILS": 2}), ("tables-fail-half-way", "write", {**PRESENT[2], "FAILS": 1}),
    ("read-without-push-down", "read", PRESENT[1]), ("push-down-leaves", "read", PRESENT[1]), ("push-down-edges", "read", PRESENT[2]),
    ("read-opens-shared", "read", PRESENT[1]), ("read-forgets-the-path", "read", PRESENT[2]), ("open-keeps-mark", "read", PRESENT[0]),
    *[(f, "fill", ways(2, (0,))[0]) for f in ("used-not-raised", "groups-not-marked")],
    ("path-no-flush", "grant", PRESENT[1]), ("grant-no-flush", "grant", PRESENT[0]),
    ("copy-ahead-no-flush", "copy_ahead", ways(3, (2,))[0]),
    ("restrict-no-flush", "protect", ranges((0,), TAKE=7)[0]), ("restrict-drops-no-flush", "protect", ranges((1,), TAKE=7)[0]),
    ("restrict-sealed-leaves", "protect", ranges((1,), TAKE=2)[0]),
    *[(f, "unmap", ranges((0,), RESERVED=0)[0]) for f in ("unmap-keeps", "unmap-no-flush", "unmap-flushes-here-only",
                                                        "unmap-frees-first", "used-not-lowered", "node-never-freed")],
    ("reserve-released-in-part", "unmap", ranges((1,), RESERVED=2)[0]),
    *[(f, "fork_eager", ranges((0,))[0]) for f in ("eager-parent-keeps-w", "eager-child-keeps-w", "eager-counts-nothing", "eager-no-flush")],
]


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
    """One case of an operation on one machine; `overlay`: changed files, and where test/proof is."""

    def __init__(self, tools: Tools, machine: str, operation: Operation, case: Case, overlay: Path = TOP):
        self.tools, self.operation, self.overlay = tools, operation, overlay
        said = ", ".join(f"{k.lower()} {v}" for k, v in case.items())
        self.name = f"{operation.name}, {machine}" + (f" ({said})" if said else "")
        includes = [f"-I{overlay / d}" for d in ("test/proof", "kernel", f"kernel/arch/{machine}/include")]
        self.words = [*tools.words("cbmc"), str(overlay / "test/proof/tree.c"), f"-DOPERATION=op_{operation.name}", "-DCOWSLIP_HOST",
                      f"-DFRESHES={operation.fresh}", "-DPT_BITS=1", *MACHINES[machine], *[f"-D{k}={v}" for k, v in case.items()],
                      *includes, "--no-standard-checks", "--unwinding-assertions", "--object-bits", "8", "--slice-formula"]
        self.formula = PLACE / f"{machine}-{operation.name}-{'-'.join(str(v) for v in case.values())}.cnf"

    def bounds(self, more: Tuple[str, ...] = ()) -> List[str]:
        _, text = execute([*self.words, *more, "--show-loops"], 60)
        own = [name for name, file in re.findall(r"^Loop (\S+):\n  file (\S+) line", text, re.M) if "kernel/" not in file]
        sets = {**{n: 1 + self.operation.fresh for n in RESERVE}, "node_put": self.operation.frees,
                "table_clear": self.operation.frees, "asid_of.0": 7, **{n: OWN_LOOPS for n in own}}
        return ["--unwind", str(self.operation.unwind), "--unwindset", ",".join(f"{n}:{k}" for n, k in sets.items())]

    def solved(self, more: Tuple[str, ...], how: str) -> Tuple[Optional[bool], int]:
        """Has the formula a solution, and how many clauses; None: not known within the limit."""
        words = [*self.words, *more, *self.bounds(more)]
        PLACE.mkdir(parents=True, exist_ok=True)
        self.formula.unlink(missing_ok=True)
        status, text = execute([*words, "--dimacs", "--outfile", str(self.formula)], LIMIT)
        if not self.formula.exists():
            raise Stop(f"proof of {self.name}: no formula ({status}):\n{text[-2000:]}")
        with open(self.formula, encoding="ascii") as f:
            size = f.readline().split()
        status, text = execute([*self.tools.words("cadical"), "-q", "-n", how, str(self.formula)], LIMIT)
        self.formula.unlink()
        return {10: True, 20: False}.get(status), int(size[3])

    def holds(self) -> Tuple[Optional[bool], int]:
        answer, size = self.solved((), "--unsat")
        return None if answer is None else not answer, size

    def reached(self) -> bool:
        """The last line is made an error, which must be found; else the assumptions exclude each other."""
        return bool(self.solved(("-DREACHED", "--property", "main.assertion.1"), "--sat")[0])

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


def kills(tools: Tools, fault: museum.Fault, operation: Operation, case: Case) -> str:
    overlay = mutated(fault)
    found = Proof(tools, "riscv64", operation, case, overlay).broken_property()
    shutil.rmtree(overlay)
    return found


def seconds() -> float:
    """Of processor time that this process and its children have taken."""
    used = os.times()
    return used.children_user + used.children_system


def prove(tools: Tools, machine: str, operation: Operation, case: Case) -> Tuple[bool, str]:
    start = time.monotonic()
    p = Proof(tools, machine, operation, case)
    answer, size = p.holds()
    if answer is None:
        said = "NOT KNOWN"
    elif not answer:
        said = f"NOT PROVED: {p.broken_property()}"
    else:
        said = "proved" if p.reached() else "NOT REACHED: its assumptions exclude each other"
    return said == "proved", f"{p.name:24} {said}, {size:,} clauses, {time.monotonic() - start:.0f} s"


def chosen(everything: bool, patterns: List[str]) -> List[Tuple[str, Operation, Case]]:
    """Without `everything`: page 1 alone, and of the allocations that fail each operation's last."""
    out = []
    for o in OPERATIONS:
        if patterns and not any(p in o.name for p in patterns):
            continue
        last = max((c["FAILS"] for c in o.cases if "FAILS" in c), default=None)
        few = [c for c in o.cases if c.get("PAGE", 1) == 1 and c.get("FAILS", last) == last]
        out += [(m, o, c) for m in MACHINES for c in (o.cases if everything else few)]
    return out


def run(mutants: bool, everything: bool, patterns: List[str]) -> int:
    tools = Tools()
    start = time.monotonic()
    good = True
    operations = {o.name: o for o in OPERATIONS}
    for machine in MACHINES:
        ok = codec(tools, machine)
        good = good and ok
        print(f"{'arithmetic, ' + machine:24} {'proved' if ok else 'NOT PROVED'}", flush=True)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool, Progress("the proof"):
        for future in concurrent.futures.as_completed([pool.submit(prove, tools, m, o, c) for m, o, c in chosen(everything, patterns)]):
            ok, line = future.result()
            good = good and ok
            print(line, flush=True)
        if mutants:
            faults = {f.name: f for f in museum.all_faults()}
            futures = {pool.submit(kills, tools, faults[f], operations[o], c): (f, o) for f, o, c in MUTANTS
                       if not patterns or any(p in o for p in patterns)}
            for future in concurrent.futures.as_completed(futures):
                name, operation = futures[future]
                found = future.result()
                good = good and bool(found)
                print(f"{name:32} {operation:8} {found or 'NOT FOUND'}", flush=True)
    say(f"{time.monotonic() - start:.0f} s, {seconds():.0f} of processor time")
    return 0 if good else 1
