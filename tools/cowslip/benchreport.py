"""The figures of `cowslip bench` as a table, as data, as pictures and as one page of HTML."""
import html
import json
import re
import subprocess
from pathlib import Path
from typing import Dict, Iterable, List, NamedTuple, Optional, Tuple

from .common import Stop, say


class Figure(NamedTuple):
    median: int
    least: int


Key = Tuple[str, int]  # the name, and what it was measured against
Figures = Dict[Key, Figure]
SERIES = ".series."    # in the name of what is drawn and not listed

COLOURS = {"cowslip": "#c28f00", "cowslip-eager": "#8a8a8a", "linux": "#1f5fa8"}


class Plot(NamedTuple):
    name: str
    title: str
    across: str
    log: str  # which axes are logarithmic


PLOTS = [Plot("fork.libc", "fork()", "MiB touched", "xy"), Plot("fork.exit", "fork, exit, wait", "MiB touched", "xy"),
         Plot("fork.exec", "fork, exec, wait", "MiB touched", "xy"), Plot("spawn.exec", "posix_spawn, wait", "MiB touched", "xy"),
         Plot("fork.exit.regions", "fork, exit, wait", "regions", "xy"),
         Plot("fork.exit.files", "fork, exit, wait", "open files", "xy"),
         Plot("write.first", "the first store after a fork", "MiB touched", "xy"),
         Plot("forkserver", "one execution of a fork server", "MiB of the parent", "xy"),
         Plot("snapshot.series.mean", "an update while a child reads all: mean of 1/50 of the run", "updates so far", ""),
         Plot("snapshot.series.max", "the same: the slowest", "updates so far", "y")]


# ---- data ----

def as_json(results: Dict[str, Figures]) -> Dict[str, Dict[str, Dict[str, List[int]]]]:
    out: Dict[str, Dict[str, Dict[str, List[int]]]] = {}
    for kernel, figures in results.items():
        for (name, against), value in figures.items():
            out.setdefault(kernel, {}).setdefault(name, {})[str(against)] = list(value)
    return out


def from_json(data: dict) -> Dict[str, Figures]:
    return {kernel: {(name, int(x)): Figure(*v) for name, at in names.items() for x, v in at.items()}
            for kernel, names in data.items()}


def last_run(out: Path) -> Dict[str, Figures]:
    try:
        return from_json(json.loads((out / "results.json").read_text())["figures"])
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return {}


# ---- the table ----

def keys(results: Dict[str, Figures]) -> List[Key]:
    """In the order in which they were measured; what only another kernel has comes last."""
    seen: Dict[Key, None] = {}
    for figures in results.values():
        seen.update(dict.fromkeys(k for k in figures if SERIES not in k[0]))
    names = list(dict.fromkeys(name for name, _ in seen))
    return sorted(seen, key=lambda k: (names.index(k[0]), k[1]))


def median(results: Dict[str, Figures], kernel: str, key: Key) -> Optional[int]:
    figure = results.get(kernel, {}).get(key)
    return figure.median if figure else None


def ratio(value: Optional[int], base: Optional[int]) -> str:
    return f"{value / base:.2f}" if value is not None and base else "-"


def heads(results: Dict[str, Figures]) -> List[str]:
    return [*results, "Cowslip/Linux", "on the wall", "/last time"]


def cells(key: Key, results: Dict[str, Figures], wall: Dict[str, Figures], before: Dict[str, Figures]) -> Iterable[str]:
    for k in results:
        value = median(results, k, key)
        yield "-" if value is None else f"{value}"
    mine = median(results, "cowslip", key)
    yield ratio(mine, median(results, "linux", key))
    yield ratio(median(wall, "cowslip", key), median(wall, "linux", key))
    yield ratio(mine, median(before, "cowslip", key))


def table(results: Dict[str, Figures], wall: Dict[str, Figures], before: Dict[str, Figures]) -> str:
    lines = [f"{'instructions, median':24} {'against':>8} " + " ".join(f"{h:>13}" for h in heads(results))]
    for key in keys(results):
        lines.append(f"{key[0]:24} {key[1] or '':>8} " + " ".join(f"{c:>13}" for c in cells(key, results, wall, before)))
    return "\n".join(lines)


# ---- pictures ----

def gnuplot(words: str, file: Path) -> Path:
    done = subprocess.run(["gnuplot"], input=words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        say(done.stderr.strip())
        raise Stop("gnuplot failed")
    file.write_text(done.stdout)
    return file


def plot_commands(plot: Plot, results: Dict[str, Figures]) -> str:
    """gnuplot's words for one plot; '' if there is nothing to show."""
    blocks, curves = [], []
    for kernel, figures in results.items():
        at = [(x, f.median) for (n, x), f in sorted(figures.items()) if n == plot.name and x > 0 and f.median > 0]
        if len(at) > 1:
            blocks.append(f"${kernel.replace('-', '_')} << E\n" + "\n".join(f"{x} {v}" for x, v in at) + "\nE\n")
            curves.append(f"${kernel.replace('-', '_')} with linespoints lw 2 pt 7 ps 0.5 lc rgb '{COLOURS[kernel]}' title '{kernel}'")
    if not curves:
        return ""
    return ("set terminal svg size 640,400 font 'sans,12' background rgb 'white'\nset grid\nset autoscale xfix\n"
            "set key outside bottom center horizontal\nset offsets graph 0.02, graph 0.02, graph 0.05, graph 0.02\n"
            + (f"set logscale {plot.log}\n" if plot.log else "") + ("" if "y" in plot.log else "set yrange [0:*]\n")
            + f"set title '{plot.title}'\nset xlabel '{plot.across}'\nset ylabel 'guest instructions'\nset format y '%.0s %c'\n"
            + "".join(blocks) + "plot " + ", ".join(curves) + "\n")


def bar_commands(results: Dict[str, Figures]) -> str:
    """All that was measured against nothing, as shares of Linux's figure; '' without Linux."""
    rows = [(k, median(results, "cowslip", k), median(results, "linux", k)) for k in keys(results) if k[1] == 0]
    rows = [(k[0], mine / linux) for k, mine, linux in rows if mine and linux]
    if not rows:
        return ""
    data = "\n".join(f'{i} {share:.4f} "{name}" "{share:.2f}"' for i, (name, share) in enumerate(reversed(rows)))
    return (f"set terminal svg size 640,{60 + 18 * len(rows)} font 'sans,12' background rgb 'white'\n"
            "set title 'Cowslip, as a share of Linux (less is less work)'\nset style fill solid\nunset key\nset grid x\n"
            f"set xrange [0:{max(1.1, 1.08 * max(share for _, share in rows)):.2f}]\nset yrange [-0.7:{len(rows) - 0.3}]\n"
            "set arrow from 1,graph 0 to 1,graph 1 nohead lw 2 lc rgb '" + COLOURS["linux"] + "'\n"
            f"$rows << E\n{data}\nE\n"
            "plot $rows using ($2/2):1:($2/2):(0.36):ytic(3) with boxxyerror lc rgb '" + COLOURS["cowslip"] + "', "
            "$rows using 2:1:4 with labels left offset 0.5,0 notitle\n")


def pictures(results: Dict[str, Figures], out: Path) -> List[Path]:
    wanted = [(p.name, plot_commands(p, results)) for p in PLOTS] + [("bars", bar_commands(results))]
    for name, _ in wanted:
        (out / f"{name}.svg").unlink(missing_ok=True)
    return [gnuplot(words, out / f"{name}.svg") for name, words in wanted if words]


# ---- the page ----

STYLE = ("body{font:15px sans-serif;max-width:1300px;margin:2em auto;padding:0 1em}td{text-align:right;padding:1px 10px}"
         "th{text-align:left;font-weight:normal}svg{width:49%;height:auto}tr:nth-child(even){background:#f4f4f0}"
         "dd{margin-bottom:.5em;overflow-wrap:anywhere}")


def page(results: Dict[str, Figures], wall: Dict[str, Figures], facts: Dict[str, str], svgs: List[str]) -> str:
    rows = []
    for key in keys(results):
        rows.append(f"<tr><th>{html.escape(key[0])}</th><td>{key[1] or ''}</td>"
                    + "".join(f"<td>{c}</td>" for c in list(cells(key, results, wall, {}))[:-1]) + "</tr>")
    about = "".join(f"<dt>{html.escape(k)}</dt><dd><code>{html.escape(v)}</code></dd>" for k, v in facts.items())
    return (f"<!doctype html><html lang=en><meta charset=utf-8><title>Cowslip and Linux</title><style>{STYLE}</style>"
            "<h1>Cowslip and Linux</h1><p>Guest instructions, one CPU, the same QEMU, the same binaries; medians."
            " “On the wall” is the ratio of times, measured without counting.</p>"
            + "".join(re.sub(r"^.*?(?=<svg)", "", s, flags=re.S) for s in svgs)
            + "<table><tr><th>operation</th><td>against</td>" + "".join(f"<td>{html.escape(h)}</td>" for h in heads(results)[:-1])
            + "</tr>" + "".join(rows) + f"</table><h2>How</h2><dl>{about}</dl></html>\n")


def write(out: Path, results: Dict[str, Figures], wall: Dict[str, Figures], facts: Dict[str, str]) -> None:
    data = {"facts": facts, "figures": as_json(results), "wall": as_json(wall)}
    (out / "results.json").write_text(json.dumps(data, indent=1) + "\n")
    svgs = [p.read_text() for p in pictures(results, out)]
    (out / "report.html").write_text(page(results, wall, facts, svgs))
