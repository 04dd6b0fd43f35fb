"""The machines that the kernel runs on: what each is called elsewhere, and how QEMU is told to be one."""
import platform
from pathlib import Path
from typing import Dict, List, NamedTuple


class Machine(NamedTuple):
    debian: str                   # Debian's name of the architecture
    compiler: str                 # prefix of the tools' names
    models: Dict[str, List[str]]  # QEMU's words for each; the first is the usual one
    status_port: bool             # the exit status of the guest comes through a device of its own (arch/x86_64/power.c)


X86_WORDS = ["-cpu", "max", "-nodefaults"]

MACHINES = {
    "riscv64": Machine("riscv64", "riscv64-linux-gnu-", {"virt": ["-M", "virt"]}, False),
    "x86_64": Machine("amd64", "x86_64-linux-gnu-", {"q35": ["-M", "q35", *X86_WORDS], "microvm": ["-M", "microvm,pit=on,rtc=on", *X86_WORDS]},
                      True),
}


def models() -> List[str]:
    return [name for m in MACHINES.values() for name in m.models]


def qemu(arch: str) -> str:
    return f"qemu-system-{arch}"


def emulator(arch: str) -> str:
    """Runs one program of the machine's Linux on this one's."""
    return f"qemu-{arch}-static"


def is_native(arch: str) -> bool:
    return platform.machine() == arch


def model_words(arch: str, model: str = "") -> List[str]:
    return MACHINES[arch].models[model or next(iter(MACHINES[arch].models))]


def status_words(arch: str, file: Path) -> List[str]:
    """Where the guest's exit status is written, one byte, if the machine has no better way."""
    if not MACHINES[arch].status_port:
        return []
    return ["-chardev", f"file,id=status,path={file}", "-device", "isa-debugcon,iobase=0xe9,chardev=status",
            "-device", "isa-debug-exit,iobase=0xf4,iosize=1"]
