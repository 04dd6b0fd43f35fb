"""
`cowslip profile OPERATION`: where the instructions of one operation go, function by
function. bench/loop.c does it over and over; QEMU names each instruction that it runs
(-singlestep -d exec), between one entry into the operation's mark and a later one.
Counts are exact; code that was inlined is counted where it went.
"""
import bisect
import os
import re
import socket
import subprocess
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Tuple

from . import bench, build, packages, setup
from .common import BUILD, TOP, Stop, say
from .machines import MACHINES

LIMIT = 120        # seconds for all of it
ROUNDS = {"write.walk": 500}  # of the operation, over which the counts are averaged; of the others:
FEW = 8
FIRMWARE = range(0x80000000, 0x80200000)
KERNEL = 1 << 63   # the kernel's addresses are above

# Each operation, and the function of the kernel whose entry begins a round of it.
MARKS = {"fork.exit": "process_clone", "fork.exec": "process_clone", "vfork.exec": "process_clone", "spawn.exec": "process_clone",
         "write.walk": "vm_fault", "write.first": "process_clone", "mprotect": "sys_mprotect", "mmap.munmap": "sys_munmap",
         "brk": "sys_brk", "pipe.roundtrip": "sys_write", "signal": "sys_kill", "read.64k": "sys_pread64",
         "call.null": "sys_getppid"}


class Symbols:
    """The functions of the kernel, and the folder that each comes from."""

    def __init__(self, arch: str, kernel: Path):
        text = subprocess.run([f"{MACHINES[arch].compiler}nm", "-n", "-l", str(kernel)], stdout=subprocess.PIPE, check=True, text=True).stdout
        found = re.findall(r"^([0-9a-f]+) [tT] (\S+)(?:\t(\S+):\d+)?$", text, re.M)
        self.starts = [int(at, 16) for at, _, _ in found]
        self.names = [name for _, name, _ in found]
        self.rooms = {name: os.path.relpath(os.path.dirname(source), TOP) if source else "kernel" for _, name, source in found}
        self.at = dict(zip(self.names, self.starts))

    def name(self, pc: int) -> str:
        if pc in FIRMWARE:
            return "(firmware)"
        if pc < KERNEL:
            return "(the program)"
        return self.names[max(0, bisect.bisect_right(self.starts, pc) - 1)]


class Profile(NamedTuple):
    rounds: int
    counts: Counter     # instructions of all rounds, by function
    calls: Counter      # entries, by function


def rounds(pcs: Iterator[int], symbols: Symbols, mark: str, wanted: int) -> Profile:
    """Counts from the first entry of `mark` to the one that follows `wanted` more."""
    counts, calls, begun = Counter(), Counter(), -1
    for pc in pcs:
        if pc == symbols.at[mark]:
            begun += 1
            if begun == wanted:
                return Profile(wanted, counts, calls)
        if begun >= 0:
            name = symbols.name(pc)
            counts[name] += 1
            calls[name] += pc == symbols.at.get(name)
    raise Stop(f"QEMU's trace ended after {max(begun, 0)} rounds")


def trace(fifo: Path, keep_open: int) -> Iterator[int]:
    """`keep_open`: the descriptor with which we could open the fifo before QEMU did; from here on QEMU alone writes."""
    with open(fifo, encoding="ascii", errors="replace") as lines:
        os.close(keep_open)
        for line in lines:
            found = re.search(r"\[[0-9a-f]+/([0-9a-f]+)/", line)
            if found:
                yield int(found.group(1), 16)


def wait_until_ready(qemu: subprocess.Popen) -> None:
    said: List[str] = []
    for raw in qemu.stdout:
        said.append(raw.decode(errors="replace").rstrip())
        if "@ ready" in said[-1]:
            return
    raise Stop("the guest ended; its last lines:\n" + "\n".join(said[-20:]))


def switch_on(monitor: Path) -> None:
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(monitor))
        s.send(b"log exec,nochain\n")
        time.sleep(0.3)  # the monitor reads when it gets to it


def run_guest(arch: str, operation: str, mib: int, eager: bool, symbols: Symbols, kernel: Path) -> Profile:
    with tempfile.TemporaryDirectory(prefix="profile-", dir=BUILD) as name:
        folder = Path(name)
        initrd, fifo, monitor = folder / "initramfs.cpio", folder / "trace", folder / "monitor"
        loop = bench.Program("loop", [operation, str(mib)], [], [])
        bench.root(arch, [loop], "full", initrd)
        os.mkfifo(fifo)
        which = bench.KERNELS["cowslip-eager" if eager else "cowslip"]
        words = bench.command_line(arch, which, kernel, initrd, f"{512 + 3 * mib}M", True)
        words[words.index("-monitor") + 1] = f"unix:{os.path.relpath(monitor, TOP)},server,nowait"
        words += ["-singlestep", "-d", "nochain", "-D", str(fifo)]
        keep_open = os.open(fifo, os.O_RDWR)  # QEMU opens it to write before we read
        qemu = subprocess.Popen(words, cwd=TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        limit = threading.Timer(LIMIT, qemu.kill)
        limit.start()
        try:
            wait_until_ready(qemu)
            switch_on(monitor)
            return rounds(trace(fifo, keep_open), symbols, MARKS[operation], ROUNDS.get(operation, FEW))
        finally:
            limit.cancel()
            qemu.kill()
            qemu.wait()
            qemu.stdout.close()


def shares(counts: Counter, total: float, n: int) -> List[Tuple[str, float, float]]:
    return [(name, count / n, 100 * count / n / total) for name, count in counts.most_common()]


def table(profile: Profile, rooms: Dict[str, str], shortest: float) -> str:
    """Functions with less than `shortest` per cent are summed up in one line."""
    total = sum(profile.counts.values()) / profile.rounds
    lines = [f"{'instructions':>12} {'%':>5} {'calls':>6}  function"]
    small = []
    for name, count, per_cent in shares(profile.counts, total, profile.rounds):
        if per_cent < shortest:
            small.append(count)
            continue
        lines.append(f"{count:12.0f} {per_cent:5.1f} {profile.calls[name] / profile.rounds:6.1f}  {name:30} {rooms.get(name, '')}".rstrip())
    if small:
        lines.append(f"{sum(small):12.0f} {100 * sum(small) / total:5.1f}         {len(small)} functions more")
    by_room: Counter = Counter()
    for name, count in profile.counts.items():
        by_room[rooms.get(name, name)] += count
    lines.append("")
    lines += [f"{count:12.0f} {per_cent:5.1f}         {name}" for name, count, per_cent in shares(by_room, total, profile.rounds)]
    lines.append(f"{total:12.0f} 100.0         in all, the mean of {profile.rounds}")
    return "\n".join(lines)


def run(arch: str, operation: str, mib: int, eager: bool, everything: bool) -> int:
    setup.setup(arch, [])
    packages.fetch(arch)
    kernel = build.kernel(arch, False)
    build.make("building the programs", ["bench-programs", f"ARCH={arch}"])
    symbols = Symbols(arch, kernel)
    if MARKS[operation] not in symbols.at:
        raise Stop(f"the kernel has no function {MARKS[operation]}")
    say(f"{operation}: booting, then {ROUNDS.get(operation, FEW)} rounds of it")
    print(table(run_guest(arch, operation, mib, eager, symbols, kernel), symbols.rooms, 0.0 if everything else 0.4))
    return 0
