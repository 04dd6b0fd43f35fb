"""
One of other people's test suites: what is put into the guest, what is run there, and
what its output says. It is run on Cowslip, or on Debian's Linux in the same QEMU with
the same root. What is expected of each test is in test/suites/NAME.expected.
"""
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional

from . import build, initramfs, machines, packages
from .common import BUILD, TOP, Stop, say
from .machines import MACHINES

ARCH = "riscv64"  # the machine in hand, and its compiler: use()
CC = "riscv64-linux-gnu-gcc"
SCRIPT = "run/suite.sh"

Results = Dict[str, str]  # name of a test -> its result

# Words of an expected file, and what they count as.
WORDS = {"pass": "passed", "fail": "failed", "unresolved": "failed", "timeout": "failed", "signal": "failed", "lost": "failed",
         "unbuilt": "failed", "skip": "skipped", "unsupported": "skipped", "untested": "skipped"}


class Guest(NamedTuple):
    """What a suite needs of the guest. limit: seconds until it is over; tests: how many results come, for the progress;
    init: instead of the script this program is run, as process 1, until it ends the machine."""
    adds: List[str]
    script: str
    packages: List[str] = []
    mem: str = "4G"
    cpus: int = 2
    limit: int = 300
    tests: int = 0
    debug: bool = False
    append: str = ""
    init: str = ""


class Suite(NamedTuple):
    """prepare: is given patterns; a suite that can runs only what they choose. show: a table for people.
    again: what differs is run once more, with nothing else going on: these tests measure time, and a host may be busy."""
    prepare: Callable[[List[str]], Guest]
    results: Callable[[str], Results]
    show: Callable[[str], str] = lambda text: ""
    again: bool = False


# On Linux the script is process 1, and has to make of a bare root what Cowslip's is from the beginning.
LINUX_SCRIPT = """#!/bin/sh
mount -t proc proc /proc
mount -t devtmpfs dev /dev
exec </dev/console >/dev/console 2>&1
stty -opost 2>/dev/null
mount -t sysfs sys /sys 2>/dev/null || { mkdir -p /sys; mount -t sysfs sys /sys; }
mkdir -p /dev/shm /dev/mqueue /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t mqueue mqueue /dev/mqueue
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /tmp
ip link set lo up
hostname cowslip
export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin USER=root SHELL=/bin/sh TERM=linux
cd /root
sh /run/suite.inner
echo '@@@ the end'
poweroff -f
"""


def archive(guest: Guest, scripts: Dict[str, str], cmd: Optional[List[str]], folder: Path) -> Path:
    """The base, the packages, and what the suite brings."""
    initrd = folder / "initramfs.cpio"
    adds = list(guest.adds)
    for name, text in scripts.items():
        file = folder / Path(name).name
        file.write_text(text)
        file.chmod(0o755)
        adds.append(f"{file}:/{name}")
    with open(initrd, "wb") as out:
        out.write(build.base_archive(ARCH).read_bytes())
        if guest.packages:
            with open(build.package_archive(ARCH, guest.packages), "rb") as more:
                shutil.copyfileobj(more, out, 1 << 20)
        out.write(initramfs.write_extra(adds, cmd, "ppp" if cmd else "ttt", {}))
    return initrd


def use(arch: str) -> None:
    global ARCH, CC
    ARCH, CC = arch, f"{MACHINES[arch].compiler}gcc"


def qemu(guest: Guest, kernel: Path, initrd: Path, append: str) -> List[str]:
    return [machines.qemu(ARCH), "-accel", "tcg,thread=single", *machines.model_words(ARCH), "-smp", str(guest.cpus), "-m", guest.mem, "-display",
            "none", "-serial", "stdio", "-monitor", "none", "-no-reboot", "-kernel", str(kernel), "-initrd", str(initrd),
            "-append", append]


def listen(words: List[str], guest: Guest, name: str, end: str) -> str:
    """Runs it to its end, telling how many results have come; `end`: the line behind which nothing follows, if there is one."""
    start = told = time.monotonic()
    text: List[str] = []
    count = 0
    out = BUILD / ARCH / "suites" / f"{name.replace(' on ', '-')}.txt"
    out.parent.mkdir(parents=True, exist_ok=True)
    log = open(out, "w", buffering=1)
    child = subprocess.Popen(words, cwd=TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    limit = threading.Timer(guest.limit, child.kill)
    limit.start()
    try:
        for raw in child.stdout:
            line = raw.decode(errors="replace").rstrip("\r\n")
            text.append(line)
            log.write(line + "\n")
            count += line.startswith("@@ ")
            if time.monotonic() - told > 10:
                told = time.monotonic()
                say(f"{name} ... {told - start:.0f} s, {count}{f' of {guest.tests}' if guest.tests else ''}")
            if end and line.endswith(end):
                break
    finally:
        limit.cancel()
        child.terminate()
        child.wait()
        child.stdout.close()
        log.close()
    if time.monotonic() - start >= guest.limit:
        say(f"{name}: no end after {guest.limit} s; {out} has what it said")
    elif end and end not in (text or [""])[-1] or not end and child.returncode:
        say("\n".join(text[-30:]))
        raise Stop(f"{name}: it did not come to its end")
    return "\n".join(text) + "\n"


def run_on(name: str, guest: Guest, linux: bool) -> str:
    with tempfile.TemporaryDirectory(prefix="suite-", dir=BUILD) as folder:
        if guest.init:
            kernel = packages.linux(ARCH) if linux else build.kernel(ARCH, guest.debug)
            append = f"rdinit={guest.init} console=ttyS0 quiet panic=-1" if linux else f"init={guest.init}"
            initrd = archive(guest, {}, None, Path(folder))
            return listen(qemu(guest, kernel, initrd, append), guest, f"{name} on {'Linux' if linux else 'Cowslip'}", "")
        if linux:
            initrd = archive(guest, {"run/suite.sh": LINUX_SCRIPT, "run/suite.inner": guest.script}, None, Path(folder))
            append = f"rdinit=/{SCRIPT} console=ttyS0 quiet panic=-1 transparent_hugepage=never {guest.append}"
            return listen(qemu(guest, packages.linux(ARCH), initrd, append), guest, f"{name} on Linux", "@@@ the end")
        script = Path(folder) / "suite.inner"
        script.write_text(guest.script)
        words = ["./cowslip", "run", "--arch", ARCH, "--mem", guest.mem, "--cpus", str(guest.cpus), "--timeout", str(guest.limit + 10)]
        words += ["--debug"] if guest.debug else []
        words += ["--packages", ",".join(guest.packages)] if guest.packages else []
        words += [w for a in [*guest.adds, f"{script}:/run/suite.inner"] for w in ("--add", a)]
        words += ["--append", guest.append] if guest.append else []
        return listen([*words, "--", "sh", "/run/suite.inner"], guest, f"{name} on Cowslip", "")


# ---- what is expected ----
# NAME.expected is for all machines; NAME.MACHINE.expected has what differs on one, with "none" for what is not tested there.

FIRST = "riscv64"  # the machine of which NAME.expected tells
NONE = "none"


def expected_file(name: str, arch: str) -> Path:
    return TOP / "test" / "suites" / (f"{name}.expected" if arch == FIRST else f"{name}.{arch}.expected")


def read_lines(file: Path) -> Results:
    """Lines: RESULT  NAME, and after two spaces a # and why, if it is no pass. RESULT|RESULT: one of these, by chance."""
    out: Results = {}
    for line in file.read_text().splitlines() if file.exists() else []:
        words = re.split(r"\s{2,}#", line)[0].split(None, 1)
        if len(words) == 2 and all(w in WORDS or w == NONE for w in words[0].split("|")):
            out[words[1].strip()] = words[0]
    return out


def read_expected(name: str) -> Results:
    own = read_lines(expected_file(name, ARCH)) if ARCH != FIRST else {}
    both = {**read_lines(expected_file(name, FIRST)), **own}
    return {key: value for key, value in both.items() if value != NONE}


def write_expected(name: str, got: Results) -> None:
    """Reasons that are there stay, and what is left to chance; who records adds what is missing."""
    file = expected_file(name, ARCH)
    old, text = read_expected(name), file.read_text() if file.exists() else ""
    reasons = dict(re.findall(r"^\S+\s+(.*?)(\s{2,}#.*)$", text, re.M))
    first = read_lines(expected_file(name, FIRST)) if ARCH != FIRST else {}
    lines = []
    for key, value in {**{key: NONE for key in first if key not in got}, **got}.items():
        value = old[key] if value in old.get(key, "").split("|") else value
        if value != first.get(key):
            lines.append(f"{value}  {key}{reasons.get(key, '') if value != 'pass' else ''}\n")
    if lines or ARCH == FIRST:
        file.write_text("".join(lines))
    elif file.exists():
        file.unlink()


def note_linux(name: str, got: Results) -> None:
    """What does not pass on Linux either needs no other reason than that."""
    file = expected_file(name, ARCH)
    lines = []
    for line in file.read_text().splitlines() if file.exists() else []:
        word, key = line.split(None, 1)
        bare = re.sub(r"\s{2,}# Linux: \w+$", "", key)
        if word not in ("pass", NONE) and "  #" not in bare and got.get(bare, "pass") != "pass":
            line = f"{word}  {bare}  # Linux: {got[bare]}"
        lines.append(line)
    if lines:
        file.write_text("\n".join(lines) + "\n")


def differs(expected: Results, key: str, value: Optional[str]) -> bool:
    return value not in expected.get(key, "").split("|")


def compare(expected: Results, got: Results) -> List[str]:
    wrong = [f"{key}: {got.get(key, 'is missing')}, expected {value}" for key, value in expected.items()
             if differs(expected, key, got.get(key))]
    return wrong + [f"{key}: {value}, and nothing is expected of it" for key, value in got.items() if key not in expected]


def counts(got: Results) -> str:
    number = {word: sum(1 for r in got.values() if WORDS[r] == word) for word in ("passed", "failed", "skipped")}
    return ", ".join(f"{n} {word}" for word, n in number.items())


# ---- the runner, test/suites/runner.c ----

def runner() -> Path:
    build.make("building the runner", [f"build/{ARCH}/suites/runner", f"ARCH={ARCH}"])
    return BUILD / ARCH / "suites" / "runner"


EXITS = {"0": "pass", "1": "fail", "2": "unresolved", "4": "unsupported", "5": "untested"}  # as in posixtestsuite


def runner_results(text: str) -> Results:
    out: Results = {}
    for name, how, number in re.findall(r"^@@ (\S+) (exit|signal|timeout|lost) (\d+) ", text, re.M):
        out[name] = EXITS.get(number, "fail") if how == "exit" else how
    return out


def in_parallel(jobs: List[Callable[[], None]], what: str) -> None:
    """Does them all, some at a time, and says how far it is."""
    import concurrent.futures
    told = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for n, _ in enumerate(concurrent.futures.as_completed([pool.submit(j) for j in jobs]), 1):
            _.result()
            if time.monotonic() - told > 5:
                told = time.monotonic()
                say(f"{what} ... {n} of {len(jobs)}")
