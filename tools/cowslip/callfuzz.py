"""
`cowslip callfuzz`: test/boot/programs/callfuzz.c in one boot: system calls at random, or one episode of them again.
"""
import re
from typing import List

from . import build
from .common import BUILD, say

MARGIN = 180     # seconds for the boot and the ends of processes
SLOWEST = 1000   # calls in a second, on a busy host
BLOCK = 1024     # steps between two names of a process (callfuzz.c)


def words(arch: str, cpus: int, debug: bool, calls: int) -> List[str]:
    """The arguments of `cowslip run`; the program's own follow in command()."""
    build.make("building callfuzz", [f"build/{arch}/boot/callfuzz", f"ARCH={arch}"])
    return ["run", "--arch", arch, "--cpus", str(cpus), "--timeout", str(calls // SLOWEST + MARGIN),
            *(["--debug", "--append", "vm.check=asked"] if debug else []),
            "--add", f"{BUILD / arch / 'boot' / 'callfuzz'}:/bin/callfuzz"]


def command(args) -> List[str]:
    out = ["callfuzz", "--seed", str(args.seed), "--workers", str(args.workers)]
    if args.episode is None:
        return [*out, "--calls", str(args.calls)]
    out += ["--episode", str(args.episode), "--from", str(args.first), "--to", str(args.last)]
    return out + [f"--{name}" for name in ("alone", "log") if getattr(args, name)]


def explain(args, log: str) -> None:
    """After a panic: the thread's name says the episode and the block of steps."""
    found = re.search(r"CPU \d+, thread \d+ \(z(\d+)\.(\d+)\)", log)
    if found:
        episode, block = int(found.group(1)), int(found.group(2))
        base = f"cowslip callfuzz --arch {args.arch} --seed {args.seed} --episode {episode}{'' if args.debug else ' --release'} --log"
        say(f"the same steps again: {base} --from {block * BLOCK} --to {(block + 1) * BLOCK}")
        say(f"all of the process's: {base}")
