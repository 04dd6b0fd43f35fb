"""Booting, one program, exit statuses, input and output, what is bad."""
import json
import os
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from guest import ARCH, TOP, check, program, run  # noqa: E402

FIRST = ("sh", "-c", "echo $((6*7)); seq 1 100000 | sort -rn | head -1; "
         "for i in 1 2 3 4; do (sleep 0; echo $i) & done; wait")


SIZES = [("--cpus", n) for n in ("1", "2", "4", "8")] + [("--mem", n) for n in ("64M", "512M", "515M", "4G", "8G")]
if ARCH == "x86_64":
    SIZES += [("--machine", "microvm", "--cpus", "1"), ("--machine", "microvm", "--cpus", "8", "--mem", "64M"),
              ("--machine", "microvm", "--mem", "4G"), ("--mem", "16G")]


@pytest.mark.parametrize("options", SIZES)
def test_first_light(options):
    status, out, err = run(*FIRST, options=options)
    lines = out.decode().split()
    assert status == 0, err[-4000:]
    assert lines[:2] == ["42", "100000"] and sorted(lines[2:]) == ["1", "2", "3", "4"]


@pytest.mark.parametrize("script,status", [("exit 7", 7), ("kill -SEGV $$", 139), ("kill -9 $$", 137), ("true", 0)])
def test_status(script, status):
    check(["sh", "-c", script], "", status)


def test_a_stopped_job_outlives_another():
    """A member of a group that was orphaned already ends: nobody is hung up for that."""
    check(["sh", "-c", "sleep 100 & p=$!; kill -STOP $p; sleep 0.2; /bin/sleep 0.1; echo alive; kill -9 $p"], "alive\n")


def test_no_such_program():
    status, out, err = run("/no/such/program")
    assert status == 127 and out == b"" and "No such file" in err


def test_exact_arguments():
    words = ["a b", "", "'\"$x`", "new\nline", "\u00e9", "--", "-x"]
    check(["sh", "-c", 'for a; do printf "[%s]" "$a"; done', "sh", *words], "".join(f"[{w}]" for w in words))


@pytest.mark.parametrize("size", [0, 1, 5000, 300000])
def test_stdin_to_stdout(size):
    data = os.urandom(size)
    check(["cat"], data, stdin=data)


def test_stderr_is_apart():
    status, out, err = run("sh", "-c", "echo out; echo err >&2")
    assert (status, out, err) == (0, b"out\n", "err\n")


def test_add(tmp_path):
    (tmp_path / "tool").write_text("#!/bin/sh\necho tool $1\n")
    (tmp_path / "tool").chmod(0o755)
    (tmp_path / "folder" / "sub").mkdir(parents=True)
    (tmp_path / "folder" / "sub" / "file").write_text("inside\n")
    check(["sh", "-c", "/root/tool x; cat /opt/f/sub/file; stat -c %a /root/tool"], "tool x\ninside\n755\n",
          options=["--add", str(tmp_path / "tool"), "--add", f"{tmp_path / 'folder'}:/opt/f"])


def test_timeout():
    status, _, _ = run("sleep", "100", limit=4)
    assert status == 124


def test_panic_shows_the_console():
    status, _, err = run("true", options=["--append", "panic_test=1"])
    assert status == 70 and "KERNEL PANIC" in err and "backtrace" in err and "boot_thread" in err


@pytest.mark.parametrize("fault", ["count", "seal"])
def test_the_checker_finds_planted_faults(fault):
    script = "i=0; while [ $i -lt 30 ]; do (x=$i; /bin/true); i=$((i+1)); done"
    status, _, err = run("sh", "-c", script, options=["--debug", "--append", f"vm.plant={fault}"])
    assert status == 70 and "KERNEL PANIC: vm check" in err, (status, err[-2000:])


@pytest.mark.parametrize("fixed", [False, True])
def test_where_things_lie(fixed):
    """Stack, mappings, heap and position-independent programs move from one exec to the next, unless it is forbidden."""
    look = "while read -r l; do [[ $l == *$1* ]] && { echo $l; break; }; done < /proc/$$/maps"
    script = "for w in stack bin/bash heap libc.so; do for i in $(seq 40); do bash -c '%s' - $w; done | sort -u | wc -l; done" % look
    status, out, err = run("sh", "-c", script, options=["--packages", "bash", *(["--append", "norandmaps"] if fixed else [])])
    counts = [int(n) for n in out.split()]
    assert status == 0 and len(counts) == 4, err[-2000:]
    assert counts == [1] * 4 if fixed else min(counts) >= 38, counts


def test_unknown_boot_argument():
    status, _, err = run("true", options=["--append", "no.such=1", "-v"])
    assert status == 0 and "'no.such' is not known" in err


def test_usage_errors():
    for words in (["--mem", "1M"], ["--cpus", "9"], ["--add", "/no/such/file", "--", "true"], ["ls"]):
        done = subprocess.run(["./cowslip", "run", "--arch", ARCH, *words], cwd=TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False)
        assert done.returncode == 2 and done.stderr


def test_out_of_memory_kills_the_eater():
    script = "sh -c 'x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done'; echo $?; free > /dev/null && echo alive"
    status, out, err = run("sh", "-c", script, options=["--mem", "64M", "-v"])
    assert (status, out) == (0, b"137\nalive\n") and "out of memory: killed process" in err


def test_files_do_not_take_all_memory():
    script = "dd if=/dev/zero of=/tmp/big bs=1M count=100 2>/dev/null; echo $?; rm /tmp/big; echo alive"
    check(["sh", "-c", script], "1\nalive\n", options=["--mem", "64M"])


def test_corrupt_programs(tmp_path):
    good = bytearray((TOP / "build" / ARCH / "user" / "init").read_bytes())
    for i in range(40):
        bad = bytearray(good)
        for at in range(16 + i, 64 + 56 * 6, 7):
            bad[at] ^= (i * 37 + at) & 0xff
        (tmp_path / f"bad{i}").write_bytes(bad)
        (tmp_path / f"bad{i}").chmod(0o755)
    (tmp_path / "short").write_bytes(good[:100])
    (tmp_path / "short").chmod(0o755)
    check(["sh", "-c", "for f in /bad/bad* /bad/short; do $f >/dev/null 2>&1 </dev/null; done; echo alive"], "alive\n",
          options=["--add", f"{tmp_path}:/bad"])


@pytest.mark.parametrize("cpus", ["1", "4"])
def test_fork_exec_loop_leaks_nothing(cpus):
    script = ("free() { grep MemFree /proc/meminfo | tr -dc 0-9; }; for i in 1 2 3; do /bin/true; done; a=$(free); i=0; "
              "while [ $i -lt 150 ]; do /bin/true; i=$((i+1)); done; b=$(free); [ $((a-b)) -le 256 ] && echo same")
    check(["sh", "-c", script], "same\n", options=["--cpus", cpus, "--debug"], limit=200)


def test_proc():
    status, out, err = run("sh", "-c", "ps; uptime; free; df; mount; top -bn1 | head -3; readlink /proc/self/exe; "
                           "cat /proc/self/maps; grep -c . /proc/self/status; echo 1 > /proc/sys/vm/check")
    text = out.decode()
    assert status == 0, err
    for word in ("PID", "load average", "Mem:", "tmpfs", "proc on /proc", "CPU:", "/bin/busybox", "[stack]"):
        assert word in text, text


def test_b6_who_finds_no_page_dies_alone():
    status, out, err = run("oom", "4", options=["--mem", "256M", *program("oom")], limit=120)
    assert status == 0 and b"4 rounds, all bytes whole" in out, (out, err[-2000:])


def test_add_takes_the_place_of_what_is_there(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "uname").symlink_to("/root/mine")
    (tmp_path / "bin" / "ls").write_text("#!/bin/sh\necho not ls\n")
    (tmp_path / "bin" / "ls").chmod(0o755)
    (tmp_path / "mine").write_text("#!/bin/sh\necho not uname\n")
    (tmp_path / "mine").chmod(0o755)
    check(["sh", "-c", "/bin/uname; /bin/ls; busybox uname"], "not uname\nnot ls\nLinux\n",
          options=["--add", f"{tmp_path / 'bin'}:/bin", "--add", f"{tmp_path / 'mine'}:/root/mine"])


@pytest.mark.parametrize("fork", ["share", "eager"])
def test_strict_promises_are_kept(fork):
    status, out, err = run("oom", "4", "strict", limit=120,
                           options=["--mem", "256M", "--append", f"vm.overcommit=2 vm.fork={fork}", *program("oom")])
    assert status == 0 and b"4 rounds, all bytes whole" in out, (out, err[-2000:])


@pytest.mark.parametrize("fork", ["share", "eager"])
def test_pagemap_smaps_and_advice(fork):
    status, out, err = run("mm", options=["--debug", "--append", f"vm.fork={fork}", *program("mm")])
    assert status == 0 and b"1..24" in out, (out.decode(), err[-2000:])


DEBIAN = {
    "bash": (["bash", "-c", "a=(1 2 3); echo ${#a[@]} ${BASH_VERSINFO[0]}; diff <(echo x) <(echo x) && echo same"], "3 5\nsame\n"),
    "lua5.4": (["lua5.4", "-e", "print(6*7); local f = io.popen('echo hi'); print(f:read())"], "42\nhi\n"),
    "sqlite3": (["sqlite3", "/tmp/db", "pragma journal_mode=wal; create table t(a); insert into t values(1),(41); "
                 "select sum(a) from t; pragma integrity_check;"], "wal\n42\nok\n"),
    "python3": (["python3", "-c", "import threading, subprocess, json\nt = threading.Thread(target=lambda: print('thread', flush=True))\n"
                 "t.start(); t.join()\nprint(subprocess.run(['echo', json.dumps([1])], capture_output=True).stdout)"],
                "thread\nb'[1]\\n'\n")}


@pytest.mark.parametrize("package", list(DEBIAN))
def test_debian_programs(package):
    """Dynamic programs as Debian has them; fetched when they are first asked for."""
    words, out = DEBIAN[package]
    check(words, out, options=["--packages", package, "--cpus", "4"], limit=100)


@pytest.mark.parametrize("cpus", ["1", "4"])
def test_storm_of_forks(cpus):
    status, out, err = run("storm", "10", limit=120,
                           options=["--debug", "--mem", "128M", "--cpus", cpus, *program("storm")])
    assert status == 0 and b", 0 wrong" in out, (out, err[-2000:])


@pytest.mark.parametrize("cpus", ["1", "4"])
def test_alarms_faster_than_anybody(cpus):
    check(["alarms"], "both went on\n", options=["--cpus", cpus, *program("alarms")])


def test_ten_thousand_forks_meet_a_limit():
    script = "grep MemFree /proc/meminfo; bomb && echo alive; sleep 1; grep MemFree /proc/meminfo"
    status, out, err = run("sh", "-c", script, limit=120, options=program("bomb"))
    assert status == 0 and b"Resource temporarily unavailable" in out and b"alive" in out, (out, err[-2000:])
    before, after = (int(line.split()[1]) for line in out.splitlines() if line.startswith(b"MemFree"))
    assert abs(before - after) < 2048, out


def test_bench_writes_what_it_measured(tmp_path):
    words = ["./cowslip", "bench", "--arch", ARCH, "--quick", "--kernels", "cowslip", "--only", "basics", "--mem", "256M",
             "--out", str(tmp_path)]
    done = subprocess.run(words, cwd=TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    figures = json.loads((tmp_path / "results.json").read_text())["figures"]["cowslip"]
    median = {name: at["0"][0] for name, at in figures.items()}
    assert 0 < median["call.null"] < median["fault.zero"] < median["exec"], figures
    assert (tmp_path / "report.html").exists() and b"pipe.roundtrip" in done.stdout


def test_profile_counts_what_one_call_takes():
    done = subprocess.run(["./cowslip", "profile", "--arch", ARCH, "call.null"], cwd=TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=150, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    words = done.stdout.decode().split("\n")
    total = float(words[-2].split()[0])
    assert 200 < total < 500 and any("syscall_dispatch" in line for line in words), done.stdout
