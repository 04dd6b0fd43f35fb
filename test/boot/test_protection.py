"""
Protection, by trying: each thing that must not be possible is done, and must end in a panic that says what it was, or
for a program in a signal. kernel/protect.c has the kernel's own attempts (fault_test, debug builds).
"""
import os
import re
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from guest import ARCH, run  # noqa: E402

# What is tried, what the panic says of it, and who must be in the backtrace.
FAULTS = {
    "write-text": ("a store to the kernel's code", "boot_thread"),
    "write-text-alias": ("a store to the direct map", "boot_thread"),
    "write-rodata": ("a store to the kernel's constants", "boot_thread"),
    "write-rodata-alias": ("a store to the direct map", "boot_thread"),
    "exec-rodata": ("a fetch from the kernel's constants", "boot_thread"),
    "exec-data": ("a fetch from the kernel's data", "boot_thread"),
    "exec-heap": ("a fetch from the direct map", "boot_thread"),
    "exec-stack": ("a fetch from a kernel stack", "boot_thread"),
    "exec-text-alias": ("a fetch from the direct map", "boot_thread"),
    "exec-user": ("a fetch from user memory", "boot_thread"),
    "read-user": ("a load from user memory", "boot_thread"),
    "write-user": ("a store to user memory", "boot_thread"),
    "null-read": ("a load from the null page", "boot_thread"),
    "null-write": ("a store to the null page", "boot_thread"),
    "null-exec": ("a fetch from the null page", "boot_thread"),
    "wild-read": ("a load from an address where nothing is" if ARCH == "riscv64" else "general protection fault in the kernel",
                  "boot_thread"),
    "stack-overflow": ("kernel stack overflow", "overflow"),
    "stack-guard": ("a store to the guard of a kernel stack", "boot_thread"),
    "stack-end": ("a store to the guard of a kernel stack", "boot_thread"),
    "boot-stack-overflow": ("kernel stack overflow", "overflow"),
}
if ARCH == "x86_64":
    FAULTS["trap-stack-overflow"] = ("overflow of the stack for NMIs", "overflow")


def panic_report(text):
    """The lines of the report, from the panic on; no second panic may have cut it short."""
    assert text.count("KERNEL PANIC") == 1, text[-4000:]
    report = text[text.index("KERNEL PANIC"):]
    registers = [n for n in re.findall(r"\b(?:pc|ra|sp|s11|rip|rsp|r15) +[0-9a-f]{16}", report)]
    assert len(registers) == (4 if ARCH == "riscv64" else 3), report
    return report


def check_fault(name, cpus):
    status, _, err = run("true", options=["--debug", "--mem", "64M", "--cpus", cpus, "--append", f"fault_test={name}"])
    what, where = FAULTS[name]
    report = panic_report(err)
    assert status == 70, (status, err[-4000:])
    assert what in report.splitlines()[0], report
    trace = report[report.index("backtrace:"):].splitlines()[1:]
    assert len(trace) >= 3 and any(re.search(rf" {where}\b", line) for line in trace), report


@pytest.mark.parametrize("name", list(FAULTS))
def test_the_kernel_against_itself(name):
    check_fault(name, "1")


@pytest.mark.parametrize("name", ["write-text", "exec-user", "stack-overflow"])
def test_the_same_on_four_cpus(name):
    check_fault(name, "4")


def test_every_mapping_is_looked_at():
    status, out, err = run("true", options=["--debug", "-v"])
    found = re.search(r"protection: (\d+) kernel mappings are as they must be", err)
    assert (status, out) == (0, b"") and found and int(found.group(1)) > 500, err[-4000:]


def program(*names):
    return [word for name in names for word in ("--add", f"build/{ARCH}/boot/{name}:/bin/{name}")]


# Bits of chance that docs/abi.md promises: of the stack 13 of pages and 8 within one; the vDSO lies at one place. Beside
# them more than four standard deviations of what 10,000 draws say (three for the stack: of so many values few are alike).
BITS = {"stack": (21, 1.5), "mappings": (17, 0.4), "program": (18, 0.5), "heap": (13, 0.25), "vdso": (0, 0)}


def places(execs, *options):
    """name -> (different values, bits that they speak for)."""
    script = f"spot {execs:08} && aslr {execs}"
    status, out, err = run("sh", "-c", script, limit=200, options=["--cpus", "1", *options, *program("spot", "aslr")])
    assert status == 0, (out, err[-2000:])
    found = re.findall(r"^(\w+) (\d+) different, ([\d.]+) bits", out.decode(), re.M)
    return {name: (int(different), float(bits)) for name, different, bits in found}


def test_ten_thousand_programs_lie_where_chance_puts_them():
    found = places(10000)
    assert list(found) == list(BITS)
    for name, (different, bits) in found.items():
        promised, tolerance = BITS[name]
        assert abs(bits - promised) <= tolerance, (name, different, bits)


def test_nothing_is_left_to_chance():
    assert places(200, "--append", "norandmaps") == {name: (1, 0.0) for name in BITS}


@pytest.mark.parametrize("cpus, deadline_us", [("1", "500000"), ("4", "1000000")])
def test_a_bystander_of_a_fork_bomb_and_a_memory_hog(cpus, deadline_us):
    """
    Its bytes are whole and it is in time: on a busy host, where time goes by without the guest, that is half a second. The
    emulator's CPUs take turns of up to 0.1 s, and a period has three wakes, each on a CPU for which three others may go first.
    """
    status, out, err = run("siege", "2", deadline_us, "3", options=["--cpus", cpus, "--mem", "64M", *program("siege")], limit=100)
    text = out.decode()
    difference = re.search(r"^MemFree ([+-]\d+) kB$", text, re.M)
    assert status == 0 and difference, (text, err[-2000:])
    assert abs(int(difference.group(1))) <= 256, text  # kernel stacks and slabs that wait for the next process
