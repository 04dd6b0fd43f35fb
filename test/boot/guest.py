"""Driving `./cowslip run` for the boot tests."""
import os
import subprocess
from pathlib import Path

import pexpect

ARCH = os.environ.get("COWSLIP_ARCH", "riscv64")
TOP = Path(__file__).resolve().parents[2]
PROMPT = r"root@cowslip:[^#$]*[#$] "


def run(*cmd, options=(), stdin=None, limit=60):
    """One program in the guest: (status, stdout, stderr)."""
    words = ["./cowslip", "run", "--arch", ARCH, "--timeout", str(limit), *options]
    done = subprocess.run([*words, "--", *cmd], cwd=TOP, input=stdin, stdin=subprocess.DEVNULL if stdin is None else None,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=limit + 300, check=False)  # before it starts it may wait for what another test fetches
    return done.returncode, done.stdout, done.stderr.decode(errors="replace")


def check(cmd, out, status=0, **more):
    """The same, compared with what is wanted; a difference shows the guest's console."""
    got = run(*cmd, **more)
    assert (got[0], got[1]) == (status, out.encode() if isinstance(out, str) else out), got[2][-4000:]


def program(name):
    """A program of test/boot/programs as the option that puts it into the guest."""
    return ["--add", f"build/{ARCH}/boot/{name}:/bin/{name}"]


class Shell:
    """An interactive session."""

    def __init__(self, *options, prompt=PROMPT):
        self.child = pexpect.spawn("./cowslip", ["run", "--arch", ARCH, "--timeout", "100", *options], cwd=str(TOP), encoding="utf-8",
                                   timeout=30, dimensions=(24, 80))
        self.child.delaybeforesend = 0.3  # the shell sets the terminal up after its prompt
        self.child.expect(prompt)

    def __call__(self, line, *expected):
        self.child.sendline(line)
        for e in expected:
            self.child.expect(e)
        self.child.expect(PROMPT)
        return self.child.before

    def key(self, keys, *expected):
        self.child.send(keys)
        for e in expected:
            self.child.expect(e)

    def end(self):
        self.child.sendline("exit")
        self.child.expect(pexpect.EOF)
        self.child.close()
        return self.child.exitstatus
