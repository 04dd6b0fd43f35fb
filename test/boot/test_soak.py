"""The soak for 20 seconds; and that it can fail."""
import os
import re
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from guest import ARCH, TOP, program, run  # noqa: E402


@pytest.mark.parametrize("build", ["--debug", "--release"])
def test_soak(build):
    done = subprocess.run(["./cowslip", "soak", "--arch", ARCH, "--cpus", "4", "--minutes", "0.34", "--seed", "1", build], cwd=TOP,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300, check=False)
    out = done.stdout.decode()
    said = re.search(r"^soak: seed 1, \d+ s, (\d+) operations, 0 wrong$", out, re.M)
    assert done.returncode == 0 and said and int(said.group(1)) > 5000, (out, done.stderr[-4000:])
    assert out.count("soak: quiet: ") >= 2 and re.search(r"^soak: [12]\d s: ", out, re.M), out
    assert build == "--release" or int(re.search(r"in all: .* (\d+) audits", out).group(1)) >= 4, out


@pytest.mark.parametrize("fault", ["seal", "flush"])
def test_soak_sees_a_planted_fault(fault):
    """By its tags alone: the kernel recounts only when it is asked, every five seconds."""
    status, out, err = run("soak", "20", "5", limit=40, options=["--debug", "--mem", "192M", "--cpus", "4", "--append",
                                                                 f"vm.check=asked vm.plant={fault}", *program("soak")])
    assert status != 0 and (b"WRONG" in out or "KERNEL PANIC: vm check" in err), (status, out[-2000:], err[-2000:])
