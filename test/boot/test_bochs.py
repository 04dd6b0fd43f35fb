"""
The CD in Bochs, whose CPU has what that of QEMU's TCG has not: process-context
identifiers, INVPCID, and an APIC in x2APIC mode.
"""
import os
import pty
import subprocess
import sys
import threading
import tty

import pytest
from pexpect import fdpexpect

sys.path.insert(0, os.path.dirname(__file__))
from guest import ARCH, PROMPT, TOP  # noqa: E402

pytestmark = pytest.mark.skipif(ARCH != "x86_64", reason="the CD is x86-64's")

SETTINGS = """\
cpu: model=corei7_haswell_4770, count={cpus}, ips=50000000
megs: 256
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path={cd}, status=inserted
boot: cdrom
com1: enabled=1, mode=term, dev={serial}
display_library: term
log: {log}
panic: action=fatal
error: action=report
"""
WORK = "yes | head -c 200000 | wc -c; for i in 1 2 3 4 5 6 7 8; do (ls / | cat | cat | wc -l) & done; wait; echo $((6*7)); nproc"

# Pipes, until a hundred switches have kept what the CPU remembered. With several CPUs not every step of a pipe is one.
SWITCHES = ("n=0; until [ $n -gt 100 ]; do ls / | cat | cat | wc -l; n=$(sed -n 's/^switch_keep //p' /proc/vmstat); done > /dev/null; "
            "echo kept=$n")


def drain(fd):
    try:
        while os.read(fd, 4096):
            pass
    except OSError:
        pass  # it has ended


@pytest.mark.parametrize("cpus", [1, 2])
def test_identifiers_and_x2apic(tmp_path, cpus):
    subprocess.run(["make", "--no-print-directory", "ARCH=x86_64", "iso"], cwd=TOP, check=True, stdout=subprocess.DEVNULL)
    serial, serial_end = pty.openpty()
    tty.setraw(serial_end)
    (tmp_path / "settings").write_text(SETTINGS.format(cpus=cpus, cd=TOP / "build/x86_64/cowslip.iso", serial=os.ttyname(serial_end),
                                                       log=tmp_path / "log"))
    (tmp_path / "commands").write_text("continue\n")  # to its debugger
    screen, screen_end = pty.openpty()
    with subprocess.Popen(["bochs", "-q", "-f", "settings", "-rc", "commands"], cwd=tmp_path, stdin=screen_end, stdout=screen_end,
                          stderr=screen_end, start_new_session=True, env={**os.environ, "TERM": "xterm"}) as bochs:
        threading.Thread(target=drain, args=(screen,), daemon=True).start()
        guest = fdpexpect.fdspawn(serial, timeout=120, encoding="utf-8")
        try:
            guest.expect(PROMPT)
            guest.sendline(WORK)
            guest.expect(rf"\s42\s+{cpus}\s")
            guest.expect(PROMPT)
            guest.sendline(SWITCHES)
            guest.expect(r"kept=(\d+)\s")
            assert int(guest.match.group(1)) > 100
        finally:
            bochs.kill()
    for fd in (serial, serial_end, screen_end):
        os.close(fd)
