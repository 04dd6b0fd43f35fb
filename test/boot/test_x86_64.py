"""What only QEMU's monitor can do to x86-64: control registers, an NMI and a machine check, in the kernel and in user mode."""
import os
import socket
import subprocess
import sys
import time

import pexpect
import pytest

sys.path.insert(0, os.path.dirname(__file__))
from guest import ARCH, PROMPT, TOP  # noqa: E402

pytestmark = pytest.mark.skipif(ARCH != "x86_64", reason="x86-64's")
CR0_WP, CR0_AM = 1 << 16, 1 << 18
CR4_PGE, CR4_UMIP, CR4_SMEP, CR4_SMAP = 1 << 7, 1 << 11, 1 << 20, 1 << 21
EFER_NXE = 1 << 11
MACHINE_CHECK = "mce 0 1 0xb200000000000000 0 0 0"


class Machine:
    """A guest at its shell, and QEMU's monitor."""

    def __init__(self, folder):
        subprocess.run(["make", "--no-print-directory", "ARCH=x86_64", "kernel", "initramfs"], cwd=TOP, check=True, stdout=subprocess.DEVNULL)
        path = str(folder / "monitor")
        self.child = pexpect.spawn("qemu-system-x86_64", [
            "-accel", "tcg,thread=single", "-M", "q35", "-cpu", "max", "-smp", "1", "-m", "256M", "-nodefaults", "-display", "none",
            "-serial", "stdio", "-monitor", f"unix:{path},server,nowait", "-device", "isa-debug-exit,iobase=0xf4,iosize=1",
            "-no-reboot", "-kernel", "build/x86_64-release/kernel.elf", "-initrd", "build/x86_64/initramfs.cpio"],
            cwd=str(TOP), encoding="utf-8", timeout=60)
        self.child.expect(PROMPT)
        self.monitor = socket.socket(socket.AF_UNIX)
        self.monitor.connect(path)

    def tell(self, command):
        self.monitor.send(f"{command}\n".encode())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.close(force=True)
        self.monitor.close()


def test_protections_are_on(tmp_path):
    with Machine(tmp_path) as m:
        m.tell("info registers")
        text, end = "", time.monotonic() + 10
        while "EFER=" not in text and time.monotonic() < end:
            text += m.monitor.recv(65536).decode()
        value = {name: int(text.split(f"{name}=", 1)[1].split()[0], 16) for name in ("CR0", "CR4", "EFER")}
    assert value["CR0"] & CR0_WP and value["CR0"] & CR0_AM
    assert all(value["CR4"] & bit for bit in (CR4_PGE, CR4_UMIP, CR4_SMEP, CR4_SMAP))
    assert value["EFER"] & EFER_NXE


KERNEL, USER = r"cs 10 ss (?:18|0)\s", r"cs 33 ss 2b\s"  # an interrupt from user mode loads 0


def where_it_hits(folder, busy, command, name):
    with Machine(folder) as m:
        if busy:
            m.child.sendline("echo $((6*7)); while :; do :; done")
            m.child.expect(r"\s42\s")
        time.sleep(1)  # it runs in its loop, or it waits for a command
        m.tell(command)
        m.child.expect(f"KERNEL PANIC: {name} at ")
        where = (KERNEL, USER)[m.child.expect([KERNEL, USER])]
        m.child.expect("backtrace")
        m.child.expect(pexpect.EOF)
        return where


@pytest.mark.parametrize("busy,where", [(False, KERNEL), (True, USER)])
@pytest.mark.parametrize("command,name", [("nmi", "NMI"), (MACHINE_CHECK, "machine check")])
def test_a_trap_that_comes_at_any_instruction(tmp_path, busy, where, command, name):
    """It has a stack of its own, and finds out whose GS it is; the end is a panic that says where."""
    for attempt in range(5):  # now and then the timer's interrupt is there first
        folder = tmp_path / str(attempt)
        folder.mkdir()
        if where_it_hits(folder, busy, command, name) == where:
            return
    pytest.fail(f"it never came in {where}")
