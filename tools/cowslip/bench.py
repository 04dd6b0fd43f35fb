"""
`cowslip bench`: the programs of bench/ on Cowslip and on Linux, in the same QEMU,
with the same binaries in the same root; what they print, side by side.

Figures are guest instructions: QEMU counts one nanosecond for each, on one CPU, so
they are the same each time, on any host. A second round without that gives the same
figures in time on the wall, of which only the ratio of one kernel to another, in one
run, says anything.
"""
import html
import json
import os
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple

from . import build, initramfs, packages, setup
from .common import BUILD, EX_USAGE, TOP, Stop, say

ARCH = "riscv64"
LIMIT = 3600  # seconds for one kernel
SCRIPT = "run/bench.sh"

Figures = Dict[Tuple[str, int], int]  # (name, against) -> instructions


class Kernel(NamedTuple):
    what: str
    linux: bool
    append: str


KERNELS = {
    "cowslip": Kernel("Cowslip", False, ""),
    "cowslip-eager": Kernel("Cowslip, tables copied at fork", False, "vm.fork=eager"),
    "linux": Kernel("Linux", True, "transparent_hugepage=never init_on_alloc=0"),
}


class Program(NamedTuple):
    name: str
    words: List[str]
    quick: List[str]


PROGRAMS = [
    Program("fork", ["/bench/fork", "1024", "20000", "1000"], ["/bench/fork", "16", "200", "30"]),
    Program("basics", ["/bench/basics", "1000"], ["/bench/basics", "100"]),
    Program("snapshot", ["/bench/snapshot", "256", "50000"], ["/bench/snapshot", "16", "2000"]),
    Program("programs", ["/bench/programs.sh", "500"], ["/bench/programs.sh", "50"]),
]

# Runs as process 1 on Linux, and as the program of `cowslip run` on Cowslip.
GUEST_SCRIPT = """#!/bin/sh
if [ $$ = 1 ]; then
    mount -t proc proc /proc 2>/dev/null
    mount -t devtmpfs dev /dev 2>/dev/null
    exec </dev/console >/dev/console 2>&1
fi
echo "@ begin 0 0"
{commands}
echo "@ end 0 0"
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


def root(programs: List[Program], quick: bool, out: Path) -> None:
    """One archive for all kernels: the base, the programs, and the script that runs them."""
    base = build.initramfs(ARCH)
    adds = [f"{BUILD / ARCH / 'bench' / p.stem}:/bench/{p.stem}" for p in sorted((TOP / "bench").glob("*.c"))]
    adds += [f"{p}:/bench/{p.name}" for p in sorted((TOP / "bench").glob("*.sh"))]
    commands = "\n".join(" ".join(p.quick if quick else p.words) for p in programs)
    with tempfile.NamedTemporaryFile("w", prefix="script-", dir=BUILD) as script:
        script.write(GUEST_SCRIPT.format(commands=commands))
        script.flush()
        os.chmod(script.name, 0o755)
        extra = initramfs.write_extra([*adds, f"{script.name}:/{SCRIPT}"], ["sh", f"/{SCRIPT}"], "ttt", {})
    out.write_bytes(base.read_bytes() + extra)


def command_line(kernel: Kernel, image: Path, initrd: Path, mem: str, icount: bool) -> List[str]:
    append = f"rdinit=/{SCRIPT} console=ttyS0 quiet panic=-1 {kernel.append}" if kernel.linux else kernel.append
    return ["qemu-system-riscv64", "-accel", "tcg", "-M", "virt", "-smp", "1", "-m", mem, "-display", "none", "-serial", "stdio",
            "-monitor", "none", "-no-reboot", "-kernel", str(image), "-initrd", str(initrd), "-append", append.strip(),
            *(["-icount", "shift=0,sleep=off"] if icount else [])]


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
        try:
            for raw in child.stdout:
                line = raw.decode(errors="replace").rstrip()
                self.text.append(line)
                self.take(line)
                now = time.monotonic()
                if now - start > LIMIT:
                    raise Stop(f"{name}: no end after {LIMIT} s")
                if now - told > 5:
                    told = now
                    say(progress(name, now - start, len(self.figures), expected))
                if self.ended:
                    break
        finally:
            child.send_signal(signal.SIGTERM)
            child.wait()
        if not self.ended:
            say("\n".join(self.text[-30:]))
            raise Stop(f"{name}: it did not come to its end; above are its last lines")

    def take(self, line: str) -> None:
        found = re.search(r"@ (\S+) (-?\d+) (-?\d+)$", line)
        if not found:
            return
        name, against, value = found.group(1), int(found.group(2)), int(found.group(3))
        if name == "end":
            self.ended = True
        elif name != "begin":
            self.figures[name, against] = value


def progress(name: str, seconds: float, done: int, expected: Optional[int]) -> str:
    left = ""
    if expected and done and done < expected:
        left = f", {done} of {expected} figures, about {seconds / done * (expected - done):.0f} s left"
    return f"{name} ... {seconds:.0f} s{left or f', {done} figures'}"


# ---- what is shown ----

def ratio(value: Optional[int], base: Optional[int]) -> str:
    return f"{value / base:.2f}" if value is not None and base else "-"


def rows(results: Dict[str, Figures]) -> List[Tuple[str, int]]:
    seen: Dict[Tuple[str, int], None] = {}
    for figures in results.values():
        seen.update(dict.fromkeys(figures))
    names = list(dict.fromkeys(name for name, _ in seen))
    return sorted(seen, key=lambda k: (names.index(k[0]), k[1]))


def table(results: Dict[str, Figures], wall: Dict[str, Figures], before: Dict[str, Figures]) -> str:
    kernels = list(results)
    head = f"{'instructions':24} {'against':>8} " + " ".join(f"{k:>14}" for k in kernels)
    head += f" {'Cowslip/Linux':>14} {'on the wall':>12} {'/last time':>11}"
    lines = [head]
    for key in rows(results):
        values = [results[k].get(key) for k in kernels]
        line = f"{key[0]:24} {key[1] or '':>8} " + " ".join(f"{'-' if v is None else v:>14}" for v in values)
        mine = results.get("cowslip", {}).get(key)
        line += f" {ratio(mine, results.get('linux', {}).get(key)):>14}"
        line += f" {ratio(wall.get('cowslip', {}).get(key), wall.get('linux', {}).get(key)):>12}"
        line += f" {ratio(mine, before.get('cowslip', {}).get(key)):>11}"
        lines.append(line)
    return "\n".join(lines)


def as_json(results: Dict[str, Figures]) -> Dict[str, Dict[str, Dict[str, int]]]:
    out: Dict[str, Dict[str, Dict[str, int]]] = {}
    for kernel, figures in results.items():
        for (name, against), value in figures.items():
            out.setdefault(kernel, {}).setdefault(name, {})[str(against)] = value
    return out


def from_json(data: dict) -> Dict[str, Figures]:
    return {kernel: {(name, int(x)): v for name, points in names.items() for x, v in points.items()}
            for kernel, names in data.items()}


COLOURS = {"cowslip": "#c28f00", "cowslip-eager": "#8a8a8a", "linux": "#1f5fa8"}
PLOTS = [("fork.libc", "fork() against touched memory, MiB"), ("fork.exit", "fork + exit + wait, MiB"),
         ("fork.exec", "fork + exec + wait, MiB"), ("write.first", "first store after fork, MiB"),
         ("forkserver", "one execution of a fork server, MiB of the parent"),
         ("fork.exit.regions", "fork + exit + wait against regions")]


def plot_commands(name: str, title: str, results: Dict[str, Figures]) -> str:
    """gnuplot's words for one plot, both axes logarithmic; '' if there is nothing to show."""
    blocks, curves = [], []
    for kernel, figures in results.items():
        points = [(x, v) for (n, x), v in sorted(figures.items()) if n == name and x > 0 and v > 0]
        if len(points) > 1:
            blocks.append(f"${kernel.replace('-', '_')} << E\n" + "\n".join(f"{x} {v}" for x, v in points) + "\nE\n")
            curves.append(f"${kernel.replace('-', '_')} with linespoints lw 2 pt 7 ps 0.6 lc rgb '{COLOURS[kernel]}' title '{kernel}'")
    if not curves:
        return ""
    return ("set terminal svg size 640,420 font 'sans,12' background rgb 'white'\nset logscale xy\nset grid\nset autoscale xfix\nset key top left\n"
            f"set title '{title}'\nset ylabel 'guest instructions'\nset format y '%.0s %c'\n"
            + "".join(blocks) + "plot " + ", ".join(curves) + "\n")


def plots(results: Dict[str, Figures], out: Path) -> List[Path]:
    made = []
    for name, title in PLOTS:
        words = plot_commands(name, title, results)
        if not words:
            continue
        done = subprocess.run(["gnuplot"], input=words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            say(done.stderr.strip())
            raise Stop("gnuplot failed")
        file = out / f"{name}.svg"
        file.write_text(done.stdout)
        made.append(file)
    return made


def report(results: Dict[str, Figures], wall: Dict[str, Figures], facts: Dict[str, str], pictures: List[Path]) -> str:
    kernels = list(results)
    cells = []
    for key in rows(results):
        values = "".join(f"<td>{results[k].get(key, '-')}</td>" for k in kernels)
        share = ratio(results.get("cowslip", {}).get(key), results.get("linux", {}).get(key))
        clock = ratio(wall.get("cowslip", {}).get(key), wall.get("linux", {}).get(key))
        cells.append(f"<tr><th>{html.escape(key[0])}</th><td>{key[1] or ''}</td>{values}<td>{share}</td><td>{clock}</td></tr>")
    svgs = "".join(re.sub(r"^.*?(?=<svg)", "", p.read_text(), flags=re.S) for p in pictures)
    about = "".join(f"<dt>{html.escape(k)}</dt><dd><code>{html.escape(v)}</code></dd>" for k, v in facts.items())
    return ("<!doctype html><meta charset=utf-8><title>Cowslip and Linux</title><style>body{font:15px sans-serif;max-width:1000px;"
            "margin:2em auto}td{text-align:right;padding:1px 10px}th{text-align:left;font-weight:normal}svg{max-width:48%;"
            "height:auto}dd{margin-bottom:.5em}</style><h1>Cowslip and Linux</h1><p>Guest instructions, one CPU, the same QEMU,"
            " the same binaries.</p>" + svgs + "<table><tr><th>operation</th><td>against</td>"
            + "".join(f"<td>{k}</td>" for k in kernels) + "<td>Cowslip/Linux</td><td>on the wall</td></tr>" + "".join(cells)
            + f"</table><h2>How</h2><dl>{about}</dl>")


# ---- the command ----

def last_run(out: Path) -> Dict[str, Figures]:
    try:
        return from_json(json.loads((out / "results.json").read_text())["figures"])
    except (OSError, ValueError, KeyError, AttributeError):
        return {}


def facts(images: Dict[str, Path], lines: Dict[str, List[str]]) -> Dict[str, str]:
    git = subprocess.run(["git", "-C", str(TOP), "describe", "--always", "--dirty"], stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, text=True, check=False).stdout.strip()
    qemu = subprocess.run(["qemu-system-riscv64", "--version"], stdout=subprocess.PIPE, text=True, check=False).stdout
    said = {"Cowslip": git or "not a git checkout", "QEMU": qemu.splitlines()[0] if qemu else ""}
    if "linux" in images:
        said["Linux"] = images["linux"].name
    said.update({f"QEMU for {k}": " ".join(words) for k, words in lines.items()})
    return said


def measure(names: List[str], images: Dict[str, Path], initrd: Path, mem: str, icount: bool,
            lines: Dict[str, List[str]], results: Dict[str, Figures]) -> None:
    """Boots each kernel in turn. What an interrupted run has so far is in `results`."""
    for n in names:
        words = command_line(KERNELS[n], images[n], initrd, mem, icount)
        lines.setdefault(n, words)
        boot = Boot(words)
        results[n] = boot.figures
        expected = max((len(f) for f in results.values()), default=0)
        boot.run(n if icount else f"{n}, on the wall", expected)


def run(kernels: str, quick: bool, only: List[str], out: Path, mem: str) -> int:
    names = choose(kernels)
    programs = [p for p in PROGRAMS if not only or p.name in only]
    if not programs:
        raise Stop(f"--only: one of {', '.join(p.name for p in PROGRAMS)}", EX_USAGE)
    setup.setup(setup.BENCH)
    packages.fetch(ARCH)
    images = {n: packages.linux(ARCH) if KERNELS[n].linux else build.kernel(ARCH, False) for n in names}
    build.make("building the programs", ["bench-programs"])
    before, lines = last_run(out), {}
    results: Dict[str, Figures] = {}
    wall: Dict[str, Figures] = {}
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=BUILD) as folder:
        initrd = Path(folder) / "initramfs.cpio"
        root(programs, quick, initrd)
        try:
            measure(names, images, initrd, mem, True, lines, results)
            measure([n for n in names if n != "cowslip-eager"], images, initrd, mem, False, lines, wall)
        except KeyboardInterrupt:
            say("stopped; what has been measured follows")
    print(table(results, wall, before))
    told = facts(images, lines)
    (out / "results.json").write_text(json.dumps({"facts": told, "figures": as_json(results), "wall": as_json(wall)},
                                                 indent=1) + "\n")
    (out / "report.html").write_text(report(results, wall, told, plots(results, out)))
    say(f"{out / 'results.json'} and {out / 'report.html'} have been written")
    return 0
