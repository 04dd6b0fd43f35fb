"""Programs made for xv6: the checks of user/xv6, memory before and after, and `run --xv6`."""
import os
import re
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "host"))
from guest import ARCH, TOP, Shell, check, run  # noqa: E402
from xv6image import write_image  # noqa: E402

pytestmark = pytest.mark.skipif(ARCH != "riscv64", reason="xv6's programs are RISC-V's")
PROGRAMS = TOP / "build" / "riscv64" / "xv6"
CHECKS = ["calls", "cow", "faults", "short"]
KERNELS = {"debug": ["--debug"], "release": [], "eager": ["--append", "vm.fork=eager"]}


def meminfo_free(out):
    return [int(n) for n in re.findall(rb"MemFree: +(\d+) kB", out)]


@pytest.mark.parametrize("kernel", list(KERNELS))
@pytest.mark.parametrize("cpus", ["1", "4"])
def test_classic_checks(kernel, cpus):
    """Each counts on 128 MiB; in the debug kernel all references are recounted at every fork, exec and exit."""
    script = "free() { grep MemFree /proc/meminfo; }; cd /xv6; free; for t in %s; do ./$t || exit 1; done; sleep 0.2; free"
    adds = [w for c in CHECKS for w in ("--add", f"{PROGRAMS / ('_' + c)}:/xv6/{c}")]
    status, out, err = run("sh", "-c", script % " ".join(CHECKS), limit=300,
                           options=["--mem", "128M", "--cpus", cpus, *KERNELS[kernel], *adds])
    planned = sum(int(n) for n in re.findall(rb"^1\.\.(\d+)", out, re.M))
    assert status == 0 and b"not ok" not in out, (out.decode(), err[-2000:])
    assert planned == len(re.findall(rb"^ok \d", out, re.M)) >= 30, out.decode()
    before, after = meminfo_free(out)
    assert before - after < 1024, out.decode()


def test_a_program_beside_linux_programs():
    check(["sh", "-c", "xecho a b | cat; xecho; echo $?"], "a b\n0\n", options=["--add", f"{PROGRAMS / '_echo'}:/bin/xecho"])


def test_what_a_linux_parent_leaves_behind():
    """Ignored signals, limits, and stops in the middle of a write."""
    options = ["--mem", "128M", "--add", f"{PROGRAMS / '_calls'}:/xv6/calls", "--add", f"{PROGRAMS / '_echo'}:/xv6/echo",
               "--add", f"{PROGRAMS / '_faults'}:/xv6/faults", "--add", f"{PROGRAMS / '_cat'}:/xv6/cat"]
    status, out, _ = run("sh", "-c", "cd /xv6; trap '' CHLD; exec ./calls", options=options)
    assert status == 0 and b"not ok" not in out, out.decode()
    status, out, _ = run("sh", "-c", "cd /xv6; ulimit -d 200; ./faults", options=options)
    assert b"not ok 5" in out and b"not ok 7" in out and b"ok 1" in out, out.decode()  # no room for the break
    script = ("cd /tmp; seq 1 100000 > big; mkfifo p; (sleep 0.5; cat p > copy) & /xv6/cat big > p & c=$!; sleep 0.2; "
              "kill -STOP $c; sleep 0.8; kill -CONT $c; wait $c; echo $?; wait; cmp big copy && echo same")
    check(["sh", "-c", script], "0\nsame\n", options=options)


def test_it_runs_linux_programs_too():
    check(["sh", "-c", "cd /bin; printf 'uname\\necho a\\n' | /xv6/sh 2>/dev/null"], "Linux\na\n",
          options=["--add", f"{PROGRAMS / '_sh'}:/xv6/sh"])


def xv6_run(source, *words, stdin=b""):
    return subprocess.run(["./cowslip", "run", "--timeout", "60", "--mem", "128M", "--xv6", str(source), *words], cwd=TOP,
                          input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, check=False)


def test_a_folder_and_its_shell():
    done = xv6_run(PROGRAMS, stdin=b"echo hello\nls /\nnone\ncd ..\necho still here\n")
    assert done.returncode == 0 and done.stdout.startswith(b"hello\n"), done
    assert re.search(rb"^faults 2 \d+ \d+$", done.stdout, re.M) and done.stdout.endswith(b"none: not found\nstill here\n"), done


def test_an_image(tmp_path):
    files = {p.name[1:]: p.read_bytes() for p in PROGRAMS.glob("_*")}
    files["README"] = b"text\n" * 4000  # needs the block of block numbers
    write_image(tmp_path / "fs.img", files)
    done = xv6_run(tmp_path / "fs.img", "--", "ls")
    assert done.returncode == 0 and re.search(rb"^README 2 \d+ 20000$", done.stdout, re.M), done
    assert xv6_run(tmp_path / "fs.img", "--", "echo", "a b").stdout == b"a b\n"


def test_at_a_terminal():
    shell = Shell("--xv6", str(PROGRAMS), prompt=r"\$ ")
    shell.child.sendline("echo typed")
    shell.child.expect("typed\r\ntyped\r\n")
    shell.child.expect(r"\$ ")
    shell.child.sendeof()
    shell.child.wait()
    assert shell.child.exitstatus == 0


def test_what_is_no_xv6():
    for source in ("/etc/passwd", "docs", "/no/such"):
        done = xv6_run(source)
        assert done.returncode == 2 and done.stderr.startswith(b"cowslip:"), done
