"""Installs what is missing on the host: Debian packages, by apt."""
import os
import shutil
import subprocess
from pathlib import Path
from typing import Callable, List, NamedTuple

from .common import EX_UNAVAILABLE, Progress, Stop, say
from .machines import MACHINES, emulator, is_native
from .machines import qemu as qemu_name


class Package(NamedTuple):
    name: str
    present: Callable[[], object]
    why: str


def command(name: str) -> Callable[[], object]:
    return lambda: shutil.which(name)


def exists(path: str) -> Callable[[], object]:
    return Path(path).exists


COMPILER, LIBRARY, QEMU = "compiles the kernel and what runs in it", "C library for programs in the guest", \
    "the machine that the kernel runs on"
MACHINE = {
    "riscv64": [
        Package("gcc-riscv64-linux-gnu", command("riscv64-linux-gnu-gcc"), COMPILER),
        Package("libc6-dev-riscv64-cross", exists("/usr/riscv64-linux-gnu/lib/libc.a"), LIBRARY),
        Package("qemu-system-misc", command("qemu-system-riscv64"), QEMU),
        Package("opensbi", lambda: any(Path("/usr/share/qemu").glob("opensbi-riscv64-*")) or
                Path("/usr/lib/riscv64-linux-gnu/opensbi").exists(), "the machine's firmware"),
    ],
    "x86_64": [
        Package("gcc" if is_native("x86_64") else "gcc-x86-64-linux-gnu", command("x86_64-linux-gnu-gcc"), COMPILER),
        Package("libc6-dev", exists("/usr/lib/x86_64-linux-gnu/libc.a"), LIBRARY) if is_native("x86_64") else
        Package("libc6-dev-amd64-cross", exists("/usr/x86_64-linux-gnu/lib/libc.a"), LIBRARY),
        Package("qemu-system-x86", command("qemu-system-x86_64"), QEMU),
        Package("seabios", exists("/usr/share/seabios/bios-256k.bin"), "the machine's firmware"),
    ],
}
RUN = [
    Package("make", command("make"), "runs the build"),
    Package("debian-archive-keyring", exists("/usr/share/keyrings/debian-archive-keyring.gpg"),
            "checks the guest's packages"),
]
PLOT = Package("gnuplot-nox", command("gnuplot"), "draws the plots")
BENCH = [PLOT]
TEST = BENCH + [
    Package("gcc", command("gcc"), "compiles the host tests"),
    Package("libc6-dev", exists("/usr/include/stdio.h"), "C headers for the host tests"),
    Package("libcmocka-dev", exists("/usr/include/cmocka.h"), "runs the host tests"),
    Package("patch", command("patch"), "applies Debian's patches to the tests of others"),
    Package("spin", command("spin"), "checks the model of shared tables"),
    Package("qemu-user-static", lambda: all(shutil.which(emulator(arch)) for arch in MACHINES), "runs the guest tests on this machine's Linux, as the oracle"),
    Package("python3-pytest", exists("/usr/lib/python3/dist-packages/pytest"), "runs the boot tests"),
    Package("python3-pexpect", exists("/usr/lib/python3/dist-packages/pexpect"), "types at the guest in the boot tests"),
]
CD, BOCHS = "makes the CD", "a PC whose CPU has what QEMU's has not"
TEST_MACHINE = {
    "x86_64": [Package("grub-pc-bin", exists("/usr/lib/grub/i386-pc"), CD), Package("grub-common", command("grub-mkrescue"), CD),
               Package("xorriso", command("xorriso"), CD), Package("mtools", command("mformat"), CD),
               Package("bochs", command("bochs"), BOCHS), Package("bochsbios", exists("/usr/share/bochs/BIOS-bochs-latest"), BOCHS),
               Package("vgabios", exists("/usr/share/bochs/VGABIOS-lgpl-latest"), BOCHS),
               Package("bochs-term", lambda: any(Path("/usr/lib").glob("*/bochs/plugins/libbx_term_gui.so")), BOCHS)],
}
GDB = [Package("gdb-multiarch", command("gdb-multiarch"), "debugs the kernel")]


def apt(*words: str) -> subprocess.CompletedProcess:
    sudo = [] if os.geteuid() == 0 else ["sudo"] + ([] if os.isatty(0) else ["-n"])
    try:
        return subprocess.run([*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *words],
                              stdin=None if os.isatty(0) else subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    except FileNotFoundError as e:
        raise Stop(f"{e.filename} is not here; please install what is named above", EX_UNAVAILABLE) from e


def setup(arch: str, more: List[Package]) -> None:
    """Installs what `run` needs for the machine, and more, as far as it is missing, saying what and why."""
    missing = [p for p in RUN + MACHINE[arch] + more if not p.present()]
    if not missing:
        return
    for p in missing:
        say(f"installing {p.name}: {p.why}")
    names = [p.name for p in missing]
    with Progress("installing"):
        apt("update")  # a mirror that does not answer is no reason to stop: the install says what it lacks
        done = apt("install", "-y", "--no-install-recommends", *names)
    if done.returncode:
        say(done.stdout.strip())
        raise Stop(f"apt-get cannot install; needed: {' '.join(names)}", EX_UNAVAILABLE)


def version(words: List[str]) -> tuple:
    try:
        text = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return (0,)
    for word in text.replace("(", " ").split():
        if word[0].isdigit() and "." in word:
            return tuple(int(n) for n in word.split(".")[:2] if n.isdigit())
    return (0,)


def check_versions(arch: str) -> None:
    compiler = f"{MACHINES[arch].compiler}gcc"
    qemu, gcc = version([qemu_name(arch), "--version"]), version([compiler, "--version"])
    if qemu < (7, 0):
        raise Stop(f"QEMU {'.'.join(map(str, qemu))} is too old: 7.0 or newer is needed", EX_UNAVAILABLE)
    if gcc < (10, 0):
        raise Stop(f"{compiler} {'.'.join(map(str, gcc))} is too old: 10 or newer is needed", EX_UNAVAILABLE)
