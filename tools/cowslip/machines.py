"""The machines that the kernel runs on: what each is called elsewhere, and how QEMU is told to be one."""
import platform
from pathlib import Path
from typing import Dict, List, NamedTuple


class Machine(NamedTuple):
    debian: str                   # Debian's name of the architecture
    compiler: str                 # prefix of the tools' names
    models: Dict[str, List[str]]  # QEMU's words for each; the first is the usual one
    status_port: bool             # the exit status of the guest comes through a device of its own (arch/x86_64/power.c)
    virtio: Dict[str, List[str]]  # where each model's virtio devices may be; the first is the usual place


X86_WORDS = ["-cpu", "max", "-nodefaults"]

MACHINES = {
    "riscv64": Machine("riscv64", "riscv64-linux-gnu-", {"virt": ["-M", "virt"]}, False, {"virt": ["mmio", "pci"]}),
    "x86_64": Machine("amd64", "x86_64-linux-gnu-", {"q35": ["-M", "q35", *X86_WORDS], "microvm": ["-M", "microvm,pit=on,rtc=on", *X86_WORDS]},
                      True, {"q35": ["pci"], "microvm": ["mmio"]}),
}
# Places in memory. QEMU 7.2 leads the first pin of any I/O APIC to the third (hw/intc/ioapic.c), so microvm's slot 0 has no interrupt.
VIRTIO_SLOTS = {"virt": range(8), "microvm": range(1, 24)}
PCI_SLOTS = range(24)


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


def models_of(arch: str) -> List[str]:
    return list(MACHINES[arch].models)


def virtio_words(model: str, place: str, disks: List["Disk"]) -> List[str]:
    """Disks in their order (in memory: slots from the lowest on), and behind them a source of random numbers."""
    words = ["-global", "virtio-mmio.force-legacy=false"] if place == "mmio" else []
    for i, disk in enumerate(disks):
        words += ["-drive", f"file={comma(disk.file)},format=raw,if=none,id=disk{i}{',readonly=on' if disk.read_only else ''}"]
    kinds = [f"virtio-blk-SUFFIX,drive=disk{i}" for i in range(len(disks))] + ["virtio-rng-SUFFIX"]
    for i, kind in enumerate(kinds):
        bus = f",bus=virtio-mmio-bus.{VIRTIO_SLOTS[model][i]}" if place == "mmio" else ""
        words += ["-device", kind.replace("SUFFIX", "device" if place == "mmio" else "pci") + bus]
    return words


def most_disks(model: str, place: str) -> int:
    return len(VIRTIO_SLOTS[model] if place == "mmio" else PCI_SLOTS) - 1


def comma(path: str) -> str:
    """As a value among others in a word of QEMU's."""
    return path.replace(",", ",,")


class Disk(NamedTuple):
    file: str
    read_only: bool


def status_words(arch: str, file: Path) -> List[str]:
    """Where the guest's exit status is written, one byte, if the machine has no better way."""
    if not MACHINES[arch].status_port:
        return []
    return ["-chardev", f"file,id=status,path={file}", "-device", "isa-debugcon,iobase=0xe9,chardev=status",
            "-device", "isa-debug-exit,iobase=0xf4,iosize=1"]
