"""
`cowslip museum`: faults that kernels like this one have had, planted in this one's
sources one at a time; some test must find each.

test/museum/*.faults has them:

    fault NAME (ROWS): what it does
    in FILE
     line that is kept, to find the place
    -line that goes
    +line that comes
    runs RUN...            instead of the usual ones

The lines kept and those that go must be found exactly once, together, in the file;
else the museum fails, and somebody must say where the fault belongs now. More than
one `in` may follow. The first and the last line may be a part of one. ROWS are those of
the catalogue in docs/museum.md, or what is left out: a seal, a count, a flush.

A fault is built into copies of the files it changes: for the host only the objects
that depend on them, for the guest a tree of its own. It is caught if a run ends with
an error that it does not end with without the fault.
"""
import concurrent.futures
import os
import re
import shlex
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

from . import build
from .common import BUILD, TOP, Progress, Stop, say

PLACE = BUILD / "museum"
FAULTS = TOP / "test" / "museum"
RECORD = TOP / "docs" / "museum.md"
BEGIN, END = "<!-- written by cowslip museum --record -->", "<!-- end -->"
HOST_LIMIT, GUEST_LIMIT = 240, 90  # seconds


class Edit(NamedTuple):
    file: str
    old: str
    new: str


class Fault(NamedTuple):
    name: str
    rows: str
    what: str
    edits: List[Edit]
    runs: List[str]


class Outcome(NamedTuple):
    fault: Fault
    caught_by: Optional[str]  # None: by nothing
    said: str
    seconds: float


class HostRun(NamedTuple):
    variant: str   # of the Makefile's build/host-vm
    machine: str
    flags: str     # those of the variant
    program: str
    options: str


class GuestRun(NamedTuple):
    program: str
    debug: bool  # recounts everything at each fork
    folder: str = "guest"  # of build/riscv64
    arguments: str = ""
    memory: str = "512M"


SMALL = {"riscv64": "-O1 -DPT_BITS=3", "x86_64": "-O1 -DPT_BITS=2"}
RUNS: Dict[str, object] = {}
for m in ("riscv64", "x86_64"):
    RUNS[f"{m}-small"] = HostRun(f"{m}-small-fast", m, SMALL[m], "test_vm", "--seed 1 --steps 30000")
    RUNS[f"{m}-long"] = HostRun(f"{m}-small-fast", m, SMALL[m], "test_vm", "--seed 2 --steps 300000")
    RUNS[f"{m}-full"] = HostRun(f"{m}-fast", m, "-O1", "test_vm", "--seed 21 --steps 20000")
    RUNS[f"{m}-calls"] = HostRun(f"{m}-fast", m, "-O1", "test_vm_calls", "")
    RUNS[f"{m}-catalogue"] = HostRun(f"{m}-fast", m, "-O1", "test_vm_catalogue", "")
    RUNS[f"{m}-eager"] = HostRun(f"{m}-small-fast", m, SMALL[m], "test_vm", "--seed 42 --steps 100000 --fork eager")
    RUNS[f"{m}-strict"] = HostRun(f"{m}-small-fast", m, SMALL[m], "test_vm", "--seed 41 --steps 100000 --overcommit 2")
    RUNS[f"{m}-threads"] = HostRun(f"{m}-threads", m, f"-fsanitize=thread {SMALL[m][4:]}", "test_vm_threads",
                                   "--seed 1 --steps 60000")
RUNS["riscv64-pte"] = HostRun("", "riscv64", "", "test_pte", "")
RUNS.update({f"guest-{p}": GuestRun(p, debug) for p, debug in (("cow", True), ("pointers", True), ("forks", False))})
RUNS["guest-callfuzz"] = GuestRun("callfuzz", True, "boot", "--calls 20000 --seed 1")
RUNS["boot-failnth"] = GuestRun("failnth", True, "boot", "-t 5 fork pipe shrinks", "64M")
USUAL = ["riscv64-small", "riscv64-calls", "x86_64-small", "x86_64-calls", "riscv64-full", "riscv64-long", "x86_64-long",
         "riscv64-strict"]


# ---- the faults ----

def parse(path: Path) -> List[Fault]:
    out: List[Fault] = []
    old: List[str] = []
    new: List[str] = []
    file = ""

    def finish() -> None:
        if file:
            out[-1].edits.append(Edit(file, "\n".join(old), "\n".join(new)))

    for number, line in enumerate([*path.read_text().split("\n"), "fault"], 1):
        header = re.match(r"fault(?: (\S+) \(([^)]*)\): (.+))?$", line)
        if header or line.startswith(("in ", "runs ", "#")):
            finish()
            file, old, new = "", [], []
        if header and header.group(1):
            out.append(Fault(header.group(1), header.group(2), header.group(3), [], []))
        elif line.startswith("in ") and out:
            file = line[3:]
        elif line.startswith("runs ") and out:
            out[-1].runs.extend(line[5:].split())
        elif file and line[:1] in (" ", "-", "+"):
            old.extend([line[1:]] if line[0] != "+" else [])
            new.extend([line[1:]] if line[0] != "-" else [])
        elif line and not header and line[0] != "#":
            raise Stop(f"{path.relative_to(TOP)}:{number}: what is {line!r}?")
    return out


def all_faults() -> List[Fault]:
    faults = [f for path in sorted(FAULTS.glob("*.faults")) for f in parse(path)]
    names = [f.name for f in faults]
    for f in faults:
        if names.count(f.name) > 1:
            raise Stop(f"museum: two faults are named {f.name}")
        if not f.edits or any(r not in RUNS for r in f.runs):
            raise Stop(f"museum: {f.name}: changes nothing, or names no run")
    return faults


def planted(fault: Fault) -> Dict[str, str]:
    """The changed files' text. Every edit must find its place exactly once."""
    texts: Dict[str, str] = {}
    for e in fault.edits:
        text = texts.get(e.file) or (TOP / e.file).read_text()
        if text.count(e.old) != 1 or e.old == e.new:
            raise Stop(f"museum: {fault.name}: its place in {e.file} is there {text.count(e.old)} times, not once:\n{e.old}")
        texts[e.file] = text.replace(e.old, e.new)
    return texts


# ---- running ----

def execute(words: List[str], limit: float) -> Tuple[int, str]:
    from .testing import execute as run_with_limit
    return run_with_limit(words, limit)


def complaint(status: int, text: str) -> str:
    """The line that says what was wrong."""
    for pattern in (r"^.*panic: (.*)$", r"^.*PANIC[: ]*(.*)$", r"^(WARNING: ThreadSanitizer.*?)(?: \(pid=\d+\))?$",
                    r"^\[ +ERROR +\] --- (.*)$", r"^(not ok .*)$", r"^(.*Assertion.*failed.*)$", r"^callfuzz: (LEAK.*?), by"):
        found = re.search(pattern, text, re.M)
        if found:
            said = re.sub(r"0x[0-9a-f]{4,}", "…", found.group(1)).strip()
            return said if said else found.group(0).strip()
    return "no end" if status == -1 else f"status {status}"


class Hosts:
    """The host's programs: objects as the Makefile builds them, but for those that a fault changes."""

    def __init__(self) -> None:
        build.make("building the host tests for the museum", ["museum-programs"])
        self.cflags = shlex.split(subprocess.run(["make", "-s", "-C", str(TOP), "vm-flags"], stdout=subprocess.PIPE, text=True,
                                                 check=True).stdout)
        self.cflags = [w for w in self.cflags if not w.startswith(("-I", "-W", "-O"))] + ["-w"]

    def compile(self, words: List[str]) -> None:
        done = subprocess.run(["gcc", *self.cflags, *words], cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False)
        if done.returncode:
            raise Stop(f"museum: a fault does not compile: {' '.join(words)}\n{done.stdout}")

    def includes(self, overlay: Path, machine: str) -> List[str]:
        folders = ["kernel", f"kernel/arch/{machine}/include", "test/host"]
        return [f"-I{overlay / f}" for f in folders] + [f"-I{f}" for f in folders]

    def build(self, run: HostRun, overlay: Path, files: List[str]) -> Path:
        flags = [*self.includes(overlay, run.machine), *run.flags.split(), f'-DHOST_ARCH="{run.machine}"']
        program = overlay / f"{run.variant}-{run.program}"
        if not run.variant:
            self.compile(["-O1", *flags, f"test/host/{run.program}.c", "-o", str(program), "-lcmocka"])
            return program
        base = BUILD / "host-vm" / run.variant
        objects = []
        for o in [*sorted((base / "kernel").rglob("*.o")), base / "test/host/machine.o", base / f"test/host/{run.program}.o"]:
            source = o.relative_to(base).with_suffix(".c")
            depends = set(o.with_suffix(".d").read_text().replace("\\\n", " ").replace(":", " ").split())
            if depends.isdisjoint(files):
                objects.append(str(o))
                continue
            mine = overlay / run.variant / o.relative_to(base)
            mine.parent.mkdir(parents=True, exist_ok=True)
            at = overlay / source if (overlay / source).exists() else source
            self.compile([*flags, "-c", str(at), "-o", str(mine)])
            objects.append(str(mine))
        self.compile([*run.flags.split(), *objects, "-o", str(program), "-lcmocka", "-lpthread",
                      "-Wl,--wrap=page_free,--wrap=page_free_table,--wrap=page_put"])
        return program

    def run(self, run: HostRun, overlay: Path, files: List[str]) -> Optional[str]:
        if run.variant and files and not self.concerns(run, files):
            return None
        program = self.build(run, overlay, files)
        status, text = execute([str(program), *run.options.split()], HOST_LIMIT)
        program.unlink()
        return complaint(status, text) if status else None

    def concerns(self, run: HostRun, files: List[str]) -> bool:
        """Whether what is changed is a part of this program at all."""
        base = BUILD / "host-vm" / run.variant
        return any(not set(files).isdisjoint(d.read_text().replace("\\\n", " ").split()) for d in base.rglob("*.d"))


class Guests:
    """The kernel in a copy of the tree, one fault at a time."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.tree = PLACE / "tree"
        self.ready = False

    def prepare(self) -> None:
        programs = [f"{r.folder}/{r.program}" for r in RUNS.values() if isinstance(r, GuestRun)]
        build.make("building the guest tests", [f"build/riscv64/{p}" for p in programs])
        for name in ("kernel", "tools", "user"):  # newer files only, so that objects stay as they are
            subprocess.run(["rsync", "-a", "--delete", f"{TOP / name}/", f"{self.tree / name}/"] if shutil.which("rsync") else
                           ["cp", "-au", str(TOP / name), str(self.tree)], check=True)
            for old in list((self.tree / name).rglob("*")):  # of a file that is there no more
                if old.is_file() and not (TOP / name / old.relative_to(self.tree / name)).exists():
                    old.unlink()
        for name in ("Makefile", "cowslip"):
            shutil.copy2(TOP / name, self.tree / name)
        (self.tree / "build").mkdir(exist_ok=True)
        if not (self.tree / "build" / "packages").exists():
            (self.tree / "build" / "packages").symlink_to(BUILD / "packages")
        self.ready = True
        os.environ["WERROR"] = ""  # what a fault leaves unused is no error

    def run(self, run: GuestRun, overlay: Path, files: List[str]) -> Optional[str]:
        with self.lock:
            if not self.ready:
                self.tree.mkdir(parents=True, exist_ok=True)
                self.prepare()
            try:
                for f in files:
                    shutil.copy(overlay / f, self.tree / f)
                program = f"{BUILD / 'riscv64' / run.folder / run.program}:/bin/{run.program}"
                status, text = execute([str(self.tree / "cowslip"), "run", *(["--debug"] if run.debug else []), "--mem", run.memory, "--timeout", str(GUEST_LIMIT),
                                        "--add", program, "--", f"/bin/{run.program}", *run.arguments.split()], GUEST_LIMIT + 120)
            finally:
                for f in files:
                    shutil.copy(TOP / f, self.tree / f)
        if "building the kernel failed" in text:
            raise Stop(f"museum: a fault does not compile:\n{text}")
        if run.arguments:
            return complaint(status, text) if status else None
        bad = status != 0 or re.search(r"^not ok", text, re.M) or not re.search(r"^1\.\.\d+", text, re.M)
        return complaint(status, text) if bad else None


class Museum:
    def __init__(self) -> None:
        self.hosts, self.guests = Hosts(), Guests()

    def run(self, name: str, overlay: Path, files: List[str]) -> Optional[str]:
        """None: all is well, so the fault was not seen."""
        r = RUNS[name]
        return (self.hosts if isinstance(r, HostRun) else self.guests).run(r, overlay, files)

    def without_faults(self, name: str) -> Tuple[str, Optional[str]]:
        overlay = PLACE / "none" / name
        overlay.mkdir(parents=True, exist_ok=True)
        return name, self.run(name, overlay, [])

    def show(self, fault: Fault) -> Outcome:
        start = time.monotonic()
        overlay = PLACE / fault.name
        shutil.rmtree(overlay, ignore_errors=True)
        texts = planted(fault)
        for file, text in texts.items():
            (overlay / file).parent.mkdir(parents=True, exist_ok=True)
            (overlay / file).write_text(text)
        for name in fault.runs or USUAL:
            said = self.run(name, overlay, list(texts))
            if said:
                shutil.rmtree(overlay)
                return Outcome(fault, name, said, time.monotonic() - start)
        return Outcome(fault, None, "", time.monotonic() - start)


def run(patterns: List[str], tell: Callable[[Outcome], None]) -> List[Outcome]:
    faults = [f for f in all_faults() if not patterns or any(p in f"museum/{f.name}" for p in patterns)]
    for f in faults:
        planted(f)  # a place that is gone is said at once
    if not faults:
        return []
    museum = Museum()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        with Progress("the museum's runs without faults"):
            for name, said in pool.map(museum.without_faults, sorted({r for f in faults for r in f.runs or USUAL})):
                if said:
                    raise Stop(f"museum: {name} fails without any fault: {said}")
        outcomes = []
        for future in concurrent.futures.as_completed([pool.submit(museum.show, f) for f in faults]):
            outcomes.append(future.result())
            tell(outcomes[-1])
    return sorted(outcomes, key=lambda o: [f.name for f in faults].index(o.fault.name))


# ---- the table ----

def command_line(name: str) -> str:
    r = RUNS[name]
    if isinstance(r, GuestRun):
        source = f"test/guest/{r.program}.c" if r.folder == "guest" else f"test/{r.folder}/programs/{r.program}.c {r.arguments}"
        return f"{source}, {'debug' if r.debug else 'release'}"
    return f"{r.program} {r.options}".strip() + (f", {r.machine}, small" if "PT_BITS" in r.flags else f", {r.machine}")


def record(outcomes: List[Outcome]) -> None:
    text = RECORD.read_text()
    lines = [BEGIN, "", "| run | what it is |", "|---|---|"]
    lines += [f"| {n} | {command_line(n)} |" for n in RUNS if any(o.caught_by == n for o in outcomes)]
    lines += ["", "| planted fault | row or kind | what it does | caught by | which says |", "|---|---|---|---|---|"]
    lines += [f"| {o.fault.name} | {o.fault.rows} | {o.fault.what} | {o.caught_by or '**nothing**'} | "
              f"{o.said.replace('|', '/')} |" for o in outcomes]
    head, tail = text.index(BEGIN), text.index(END)
    RECORD.write_text(text[:head] + "\n".join(lines) + "\n\n" + text[tail:])


def show(patterns: List[str], write: bool) -> int:
    def tell(o: Outcome) -> None:
        print(f"{o.fault.name:32} {o.caught_by or 'NOT CAUGHT':16} {o.seconds:6.1f} s  {o.said[:100]}", flush=True)

    start = time.monotonic()
    outcomes = run(patterns, tell)
    missed = [o.fault.name for o in outcomes if not o.caught_by]
    print(f"{len(outcomes)} planted faults, {len(outcomes) - len(missed)} caught, {time.monotonic() - start:.0f} s", flush=True)
    if missed:
        say("not caught: " + ", ".join(missed))
    if write and not patterns:
        record(outcomes)
    if not outcomes:
        say("no fault has such a name")
        return 2
    return 1 if missed else 0
