"""A person at the terminal."""
import os
import sys
import time

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from guest import Shell  # noqa: E402


@pytest.mark.parametrize("cpus", ["1", "4"])
def test_session(cpus):
    sh = Shell("--cpus", cpus)
    sh("tty", "/dev/console")
    sh("stty size", "24 80")
    sh("echo $((6*7))", "42")
    sh("seq 1 1000 | sort -rn | head -1", "1000")
    sh("cat <<E\nhere $((1+1))\nE", "here 2")

    sh.child.sendline("sleep 100")
    time.sleep(1)
    sh.key("\x03", r"\^C")
    sh("echo after", "after")

    sh.child.sendline("sleep 100")
    time.sleep(1)
    sh.key("\x1a", "Stopped")
    sh("jobs", "Stopped")
    sh.child.sendline("fg")
    time.sleep(1)
    sh.key("\x03", r"\^C")
    sh("sleep 50 &")
    sh("kill %1")
    sh("jobs", "Terminated")
    sh("trap 'echo caught' INT; kill -INT $$", "caught")
    assert sh.end() == 0


def test_vi_and_top():
    sh = Shell()
    sh.child.sendline("vi /tmp/x")
    time.sleep(2)
    for keys in ("i", "hello vi", "\x1b", ":wq\r"):
        sh.key(keys)
        time.sleep(0.5)
    sh("cat /tmp/x", "hello vi\r\n")
    sh.child.sendline("top")
    time.sleep(2)
    sh.key("q")
    sh("echo erase\x7fd", "erasd")
    assert sh.end() == 0


def test_paste():
    """Thousands of characters at once: none is dropped."""
    sh = Shell()
    sh.child.sendline("cat > /tmp/paste")
    time.sleep(1)
    text = "".join(f"line {i} with some words\n" for i in range(400))
    sh.child.send(text)
    sh.key("\x04")
    time.sleep(1)
    sh("wc -c /tmp/paste", f"{len(text)} /tmp/paste")
    assert sh.end() == 0


def test_leave_with_ctrl_a_x():
    sh = Shell()
    sh.key("\x01x")
    sh.child.expect(r"$")
    sh.child.wait()
    assert sh.child.exitstatus == 0


def test_poweroff():
    sh = Shell()
    sh.child.sendline("poweroff")
    sh.child.wait()
    assert sh.child.exitstatus == 0
