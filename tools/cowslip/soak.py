"""
`cowslip soak`: test/boot/programs/soak.c in one boot, for as long as one likes. What it prints is shown as it comes;
a panic, or no end, shows the kernel's log.
"""
from typing import List

from . import build
from .common import BUILD, say

MARGIN = 180  # seconds for the boot, the ends of rounds on a busy host, and the last words
MEMORY = {False: "512M", True: "192M"}  # a recount takes as long as there is memory


def words(arch: str, minutes: float, cpus: int, debug: bool, recount: bool, seed: int, processes: int) -> List[str]:
    """The arguments of `cowslip run`; the program's own follow in command()."""
    build.make("building soak", [f"build/{arch}/boot/soak", f"ARCH={arch}"])
    say(f"soak: {arch}, {cpus} CPUs, {'debug' if debug else 'release'}, seed {seed}, {processes} processes, {minutes:g} minutes")
    return ["run", "--arch", arch, "--cpus", str(cpus), "--mem", MEMORY[debug], "--timeout", f"{minutes * 60 + MARGIN:.0f}",
            *(["--debug"] if debug else []), *(["--append", "vm.check=asked"] if debug and not recount else []),
            "--add", f"{BUILD / arch / 'boot' / 'soak'}:/bin/soak"]


def command(minutes: float, seed: int, processes: int) -> List[str]:
    return ["soak", f"{minutes * 60:.0f}", str(seed), str(processes)]
