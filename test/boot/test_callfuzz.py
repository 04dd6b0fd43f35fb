"""System calls at random: five million on each machine, of which a million on the debug build, where leaks show."""
import os
import re
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from guest import ARCH, TOP  # noqa: E402


def callfuzz(*options, limit):
    return subprocess.run(["./cowslip", "callfuzz", "--arch", ARCH, *options], cwd=TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=limit, check=False)


@pytest.mark.parametrize("build,calls,seed,cpus", [("debug", 1000000, 1, 4), ("release", 3500000, 2, 4), ("release", 500000, 3, 1)])
def test_callfuzz(build, calls, seed, cpus):
    done = callfuzz("--calls", str(calls), "--seed", str(seed), "--cpus", str(cpus), *(["--release"] if build == "release" else []),
                    limit=calls // 1000 + 240)
    out = done.stdout.decode(errors="replace")
    said = re.search(rf"^callfuzz: seed {seed}: (\d+) calls of (\d+) numbers .*; (\d+) of \d+ numbers with success; .* 0 leaks$", out, re.M)
    assert done.returncode == 0 and said, (out[-4000:], done.stderr[-6000:])
    assert int(said.group(1)) >= calls and int(said.group(2)) >= 470 and int(said.group(3)) >= 170, out[-2000:]


def test_callfuzz_repeats_an_episode():
    """The same seed, episode and steps are the same calls, wherever one begins."""
    logs = []
    for first in ("1024", "1090"):
        done = callfuzz("--seed", "5", "--episode", "8", "--from", first, "--to", "1100", "--alone", "--log", "--release", limit=120)
        assert done.returncode == 0, done.stderr[-2000:]
        logs.append(dict(re.findall(r"^(\d+): (\d+\(.*\))", done.stdout.decode(errors="replace"), re.M)))
    assert len(logs[1]) == 10 and all(logs[0][step] == call for step, call in logs[1].items()), logs[1]
