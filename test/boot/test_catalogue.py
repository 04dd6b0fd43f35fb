"""Rows of the catalogue (docs/testing.md) that a whole machine shows: memory that runs out, and what forks cost in the end."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from guest import program, run  # noqa: E402


def test_b4_read_without_memory():
    status, out, err = run("scarce", "3", options=["--mem", "128M", "-v", *program("scarce")], limit=120)
    assert status == 0 and b"3 rounds, all bytes whole" in out, (out, err[-2000:])
    assert "out of memory: killed process" in err


def test_b5_forks_that_fail():
    status, out, err = run("manyforks", "1000", "fail", limit=100,
                           options=["--cpus", "1", "--mem", "64M", "--append", "vm.overcommit=2", *program("manyforks")])
    assert status == 0 and b"1000 forks, 0 not as they should be" in out, (out, err[-2000:])


def test_b7_a_hundred_thousand_forks():
    status, out, err = run("manyforks", "100000", options=["--cpus", "1", *program("manyforks")], limit=400)
    assert status == 0 and b"100000 forks, 0 not as they should be" in out, (out, err[-2000:])


@pytest.mark.parametrize("mem", ["64M", "4G"])
def test_b8_counts_are_right_at_boot(mem):
    """The first command recounts all references of the machine; the counter says that it was done."""
    script = "echo 1 > /proc/sys/vm/check && grep -E '^vm_check [1-9]' /proc/vmstat > /dev/null && echo counted"
    status, out, err = run("sh", "-c", script, options=["--debug", "--mem", mem])
    assert (status, out) == (0, b"counted\n"), (out, err[-2000:])


@pytest.mark.parametrize("fault,says", [("locks-in-reverse", "fault_test, outer"), ("lock-twice", "l->held != c->id + 1")])
def test_b8_locks_have_an_order(fault, says):
    status, _, err = run("true", options=["--debug", "--mem", "64M", "--append", f"fault_test={fault}"])
    first = next((line for line in err.splitlines() if "KERNEL PANIC" in line), "")
    assert status == 70 and says in first, err[-2000:]
