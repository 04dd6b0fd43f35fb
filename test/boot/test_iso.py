"""The CD for x86-64: GRUB starts the kernel as Multiboot 2 says."""
import os
import subprocess
import sys

import pexpect
import pytest

sys.path.insert(0, os.path.dirname(__file__))
from guest import ARCH, PROMPT, TOP  # noqa: E402

pytestmark = pytest.mark.skipif(ARCH != "x86_64", reason="the CD is x86-64's")


@pytest.mark.parametrize("mem", ["64M", "4G"])
def test_cd(mem):
    subprocess.run(["make", "--no-print-directory", "ARCH=x86_64", "iso"], cwd=TOP, check=True, stdout=subprocess.DEVNULL)
    child = pexpect.spawn("qemu-system-x86_64", ["-accel", "tcg,thread=single", "-M", "q35", "-cpu", "max", "-smp", "2", "-m", mem, "-nographic",
                                                 "-net", "none", "-cdrom", "build/x86_64/cowslip.iso"],
                          cwd=str(TOP), encoding="utf-8", timeout=60)
    try:
        child.expect(PROMPT)
        child.sendline("echo $((6*7)); nproc")
        child.expect(r"\s42\s+2\s")
        child.sendline("poweroff -f")
        child.expect(pexpect.EOF)
    finally:
        child.close(force=True)
    assert child.exitstatus == 0
