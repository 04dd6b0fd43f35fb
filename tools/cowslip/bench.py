"""
`cowslip bench`: the programs of bench/ on Cowslip and on Linux, in the same QEMU,
with the same binaries in the same root; what they print, side by side.

Figures are guest instructions: QEMU counts one nanosecond for each, on one CPU, so
they are the same each time, on any host. A second round without that gives the same
figures in time on the wall, of which only the ratio of one kernel to another, in one
run, says anything.

This file boots and measures; benchreport.py shows, baseline.py judges.
"""
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

from . import baseline, benchreport, build, initramfs, machines, packages, setup
from .benchreport import Figure, Figures
from .common import BUILD, EX_USAGE, TOP, Stop, say

LIMIT = 3600  # seconds for one kernel
SCRIPT = "run/bench.sh"


class Kernel(NamedTuple):
    what: str
    linux: bool
    append: str


KERNELS = {
    "cowslip": Kernel("Cowslip", False, "norandmaps"),
    "cowslip-eager": Kernel("Cowslip, tables copied at fork", False, "norandmaps vm.fork=eager"),
    "linux": Kernel("Linux", True, "norandmaps transparent_hugepage=never init_on_alloc=0"),
}


class Program(NamedTuple):
    """What it is given, and instead with --quick and with --big."""
    name: str
    words: List[str]
    quick: List[str]
    big: List[str]


PROGRAMS = [
    Program("fork", ["4096", "20000", "1000"], ["64", "2000", "300"], ["16384", "20000", "1000"]),
    Program("cow", ["4096"], ["64"], ["16384"]),
    Program("basics", ["1000"], ["100"], ["1000"]),
    Program("snapshot", ["256", "50000"], ["16", "2000"], ["1024", "50000"]),
    Program("programs.sh", ["500"], ["500"], ["500"]),
]
SIZES = {"quick": "512M", "full": "6G", "big": "18G"}

# Runs as process 1 on Linux, and as the program of `cowslip run` on Cowslip.
GUEST_SCRIPT = """#!/bin/sh
if [ $$ = 1 ]; then
    mount -t proc proc /proc 2>/dev/null
    mount -t devtmpfs dev /dev 2>/dev/null
    exec </dev/console >/dev/console 2>&1
fi
sleep 5 # what a kernel has put off until it has booted is not the programs' cost
{commands}
echo "@ end 0 0 0"
if [ $$ = 1 ]; then
    poweroff -f
fi
"""


def choose(wanted: str) -> List[str]:
    names = [n for n in wanted.split(",") if n]
    for n in names:
        if n not in KERNELS:
            raise Stop(f"--kernels: {n} is not one of {', '.join(KERNELS)}", EX_USAGE)
    return names


def root(arch: str, programs: List[Program], size: str, out: Path) -> None:
    """One archive for all kernels: the base, the programs, and the script that runs them."""
    base = build.base_archive(arch)
    adds = [f"{BUILD / arch / 'bench' / p.stem}:/bench/{p.stem}" for p in sorted((TOP / "bench").glob("*.c"))]
    adds += [f"{p}:/bench/{p.name}" for p in sorted((TOP / "bench").glob("*.sh"))]
    words = {"quick": lambda p: p.quick, "full": lambda p: p.words, "big": lambda p: p.big}[size]
    commands = "\n".join(" ".join([f"/bench/{p.name}", *words(p)]) for p in programs)
    with tempfile.NamedTemporaryFile("w", prefix="script-", dir=BUILD) as script:
        script.write(GUEST_SCRIPT.format(commands=commands))
        script.flush()
        os.chmod(script.name, 0o755)
        extra = initramfs.write_extra([*adds, f"{script.name}:/{SCRIPT}"], ["sh", f"/{SCRIPT}"], "ttt", {})
    out.write_bytes(base.read_bytes() + extra)


def command_line(arch: str, kernel: Kernel, image: Path, initrd: Path, mem: str, icount: bool) -> List[str]:
    append = f"rdinit=/{SCRIPT} console=ttyS0 quiet panic=-1 {kernel.append}" if kernel.linux else kernel.append
    # What a guest takes for chance and for the time of day is the same each time, too.
    same = ["-icount", "shift=0,sleep=off", "-seed", "1", "-rtc", "base=2026-01-01,clock=vm"]
    return [machines.qemu(arch), "-accel", "tcg", *machines.model_words(arch), "-smp", "1", "-m", mem, "-display", "none", "-serial", "stdio",
            "-monitor", "none", "-no-reboot", "-kernel", str(image), "-initrd", str(initrd), "-append", append.strip(),
            *(same if icount else [])]


class Boot:
    """One kernel's run, whose lines come as they are printed."""

    def __init__(self, words: List[str]):
        self.words = words
        self.figures: Figures = {}
        self.ended = False
        self.text: List[str] = []

    def run(self, name: str, expected: Optional[int]) -> None:
        start, told = time.monotonic(), time.monotonic()
        child = subprocess.Popen(self.words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        limit = threading.Timer(LIMIT, child.kill)
        limit.start()
        try:
            for raw in child.stdout:
                line = raw.decode(errors="replace").rstrip()
                self.text.append(line)
                self.take(line)
                now = time.monotonic()
                if now - told > 5:
                    told = now
                    say(progress(name, now - start, len(self.figures), expected))
                if self.ended:
                    break
        finally:
            limit.cancel()
            child.send_signal(signal.SIGTERM)
            child.wait()
            child.stdout.close()
        if not self.ended:
            say("\n".join(self.text[-30:]))
            why = f"no end after {LIMIT} s" if time.monotonic() - start >= LIMIT else "it did not come to its end"
            raise Stop(f"{name}: {why}; above are its last lines")

    def take(self, line: str) -> None:
        found = re.search(r"@ (\S+) (-?\d+) (-?\d+) (-?\d+)$", line)
        if not found:
            return
        name, (against, median, least) = found.group(1), map(int, found.groups()[1:])
        if name == "end":
            self.ended = True
        else:
            self.figures[name, against] = Figure(median, least)


def progress(name: str, seconds: float, done: int, expected: Optional[int]) -> str:
    left = ""
    if expected and done and done < expected:
        left = f", {done} of {expected} figures, about {seconds / done * (expected - done):.0f} s left"
    return f"{name} ... {seconds:.0f} s{left or f', {done} figures'}"


# ---- the command ----

def facts(arch: str, images: Dict[str, Path], lines: Dict[str, List[str]]) -> Dict[str, str]:
    git = subprocess.run(["git", "-C", str(TOP), "describe", "--always", "--dirty"], stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, text=True, check=False).stdout.strip()
    qemu = subprocess.run([machines.qemu(arch), "--version"], stdout=subprocess.PIPE, text=True, check=False).stdout
    gcc = subprocess.run([f"{machines.MACHINES[arch].compiler}gcc", "--version"], stdout=subprocess.PIPE, text=True, check=False).stdout
    said = {"Cowslip": git or "not a git checkout", "Compiler": gcc.splitlines()[0] if gcc else "",
            "QEMU": qemu.splitlines()[0] if qemu else ""}
    if "linux" in images:
        said["Linux"] = images["linux"].name
    said.update({f"QEMU for {k}": " ".join(words) for k, words in lines.items()})
    return said


def measure(arch: str, names: List[str], images: Dict[str, Path], initrd: Path, mem: str, icount: bool,
            lines: Dict[str, List[str]], results: Dict[str, Figures]) -> None:
    """Boots each kernel in turn. What an interrupted run has so far is in `results`."""
    for n in names:
        words = command_line(arch, KERNELS[n], images[n], initrd, mem, icount)
        lines.setdefault(n, words)
        boot = Boot(words)
        results[n] = boot.figures
        expected = max((len(f) for f in results.values()), default=0)
        boot.run(n if icount else f"{n}, on the wall", expected)


def run(arch: str, kernels: Optional[str], size: str, only: List[str], out: Path, mem: Optional[str], check: bool, record: bool) -> int:
    """`check`: only the figures that are the same each time, against the budgets and the baseline."""
    names = choose(kernels or ("cowslip,cowslip-eager" if check or record else ",".join(KERNELS)))
    programs = [p for p in PROGRAMS if not only or p.name.removesuffix(".sh") in only]
    if len(programs) < len(set(only)) or not programs:
        raise Stop(f"--only: one of {', '.join(p.name.removesuffix('.sh') for p in PROGRAMS)}", EX_USAGE)
    if (check or record) and (size != "quick" or only or not baseline.NEEDS <= set(names)):
        raise Stop("--check and --record are about all of --quick, with the kernels cowslip and cowslip-eager", EX_USAGE)
    setup.setup(arch, setup.BENCH)
    packages.fetch(arch)
    images = {n: packages.linux(arch) if KERNELS[n].linux else build.kernel(arch, False) for n in names}
    build.make("building the programs", ["bench-programs", f"ARCH={arch}"])
    before, lines = benchreport.last_run(out), {}
    results: Dict[str, Figures] = {}
    wall: Dict[str, Figures] = {}
    out.mkdir(parents=True, exist_ok=True)
    mem = mem or SIZES[size]
    whole = False
    with tempfile.TemporaryDirectory(prefix="bench-", dir=BUILD) as folder:
        initrd = Path(folder) / "initramfs.cpio"
        root(arch, programs, size, initrd)
        for n in [n for n in names if not KERNELS[n].linux]:  # whoever builds another meanwhile: this one is measured
            images[n] = Path(shutil.copy(images[n], Path(folder) / f"{n}.elf"))
        try:
            measure(arch, names, images, initrd, mem, True, lines, results)
            if not (check or record):
                measure(arch, [n for n in names if n != "cowslip-eager"], images, initrd, mem, False, lines, wall)
            whole = True
        except KeyboardInterrupt:
            say("stopped; what has been measured follows")
    print(benchreport.table(results, wall, before))
    benchreport.write(out, results, wall, facts(arch, images, lines))
    say(f"{out / 'results.json'} and {out / 'report.html'} have been written")
    if record and whole:
        baseline.record(arch, results)
    return baseline.check(arch, results) if check and whole else 0 if whole else 130
