"""
What `cowslip bench --quick --check` holds the figures to: the budgets, and the
baseline in bench/baseline.json, which is changed by a commit of its own with a reason.
"""
import json
from typing import Dict, Iterator, List, Tuple

from .benchreport import Figure, Figures, as_json, from_json
from .common import TOP, Stop, say

FILE = TOP / "bench" / "baseline.json"
NEEDS = {"cowslip", "cowslip-eager"}
GROWTH = 1.03   # more than this over the baseline is a failure
GRAIN = 100     # … and, of what is not an average, a tick of the guest's clock, in which that is told;
SMALL = 2       # … of an average, more than this
SINGLE = ("fork.", "vfork.", "spawn.", "read.first", "write.first", "write.p999", "write.worst", "forkserver", "testrun",
          "snapshot.fork", "snapshot.p999", "snapshot.max", "snapshot.series", "munmap.")


def points(figures: Figures, name: str) -> Dict[int, int]:
    return {x: f.median for (n, x), f in figures.items() if n == name}


def same(figures: Figures, name: str, from_x: int) -> Iterator[Tuple[str, int, float]]:
    """From the smallest size on, no more than 5 % more than there."""
    at = {x: v for x, v in points(figures, name).items() if x >= from_x}
    if not at:
        yield f"{name}: nothing was measured", 1, 0
        return
    least = at[min(at)]
    for x, v in at.items():
        yield f"{name} at {x}, as at {min(at)} within 5 %", v, least * 1.05


def budgets(shared: Figures, eager: Figures) -> Iterator[Tuple[str, int, float]]:
    """(what, measured, most that is allowed). Instructions."""
    for x, v in points(shared, "fork.call").items():
        yield f"fork, parent's side, {x} MiB", v, 5000
    for name in ("fork.call", "fork.exit", "fork.exec"):
        yield from same(shared, name, 1)
        yield from same(shared, f"{name}.regions", 20)
        for suffix in ("", ".regions", ".files") if name == "fork.exec" else ():
            spawn = points(shared, f"spawn.exec{suffix}")
            for x, v in points(shared, name + suffix).items():
                yield f"fork + exec + wait, as posix_spawn, {x}{suffix}", v, 1.05 * spawn.get(x, 0)
    for name in ("write.first", "write.worst"):
        for x, v in points(shared, name).items():
            yield f"one store, {name} of {x} MiB", v, 15000
    for name in ("write.walk", "write.random", "write.walk.child", "write.random.child"):
        plain = points(eager, name)
        for x, v in points(shared, name).items():
            yield f"a store of {name}, {x} MiB", v, 2200
            yield f"a store of {name}, {x} MiB, 3 % over page by page", v, 1.03 * plain.get(x, 0)
    for name in ("fork.exit", "program.subshells", "program.commands"):
        yield (f"{name} of a small process, as with its tables copied", points(shared, name).get(0, 1 << 62),
               points(eager, name).get(0, 0))


def grown(now: Figures, then: Figures) -> List[str]:
    wrong = []
    for key, old in then.items():
        label = f"{key[0]} {key[1] or ''}".strip()
        if key not in now:
            wrong.append(f"{label}: is in the baseline, but was not measured")
        elif now[key].median > (old.median * GROWTH + GRAIN if key[0].startswith(SINGLE) else max(old.median * GROWTH, old.median + SMALL)):
            wrong.append(f"{label}: {now[key].median} instructions, {now[key].median / max(old.median, 1):.3f} times the baseline's "
                         f"{old.median}")
    wrong += [f"{n} {x or ''}: is not in the baseline" for n, x in now if (n, x) not in then]
    return wrong


def judge(results: Dict[str, Figures], then: Dict[str, Figures]) -> List[str]:
    """What is wrong, a line for each."""
    wrong = [f"{what}: {v} instructions, the budget is {most:.0f}"
             for what, v, most in budgets(results["cowslip"], results["cowslip-eager"]) if v > most]
    for kernel in sorted(NEEDS):
        wrong += [f"{kernel}: {line}" for line in grown(results[kernel], then.get(kernel, {}))]
    return wrong


def check(arch: str, results: Dict[str, Figures]) -> int:
    try:
        then = from_json(json.loads(FILE.read_text())[arch])
    except (OSError, ValueError, KeyError) as e:
        raise Stop(f"{FILE}: {e}") from e
    wrong = judge(results, then)
    for line in wrong:
        say(f"check: {line}")
    held = len(list(budgets(results["cowslip"], results["cowslip-eager"])))
    print(f"{held} budgets and {sum(map(len, then.values()))} figures of the baseline checked, {len(wrong)} wrong")
    return 1 if wrong else 0


def record(arch: str, results: Dict[str, Figures]) -> None:
    try:
        data = json.loads(FILE.read_text())
    except OSError:
        data = {}
    data[arch] = as_json({k: {key: Figure(*f) for key, f in results[k].items()} for k in sorted(NEEDS)})
    FILE.write_text(json.dumps(data, indent=1) + "\n")
    say(f"{FILE} has been written; commit it by itself, with the reason")
