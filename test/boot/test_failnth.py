"""Every allocation of every call and every kind of fault made to fail, and what comes of it (test/boot/programs/failnth.c)."""
import os
import re
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from guest import ARCH, TOP, run  # noqa: E402

# Where the kernel allocates and no failure can be planted: file, function, why.
NEVER = {
    ("kernel/proc/thread.c", "thread_init"): "boot, without a process",
    ("kernel/proc/init.c", "make"): "boot: the first process",
    ("kernel/proc/exec.c", "process_exec_kernel"): "the first process's program, which nobody can have planted anything for",
    ("kernel/fs/context.c", "fs_context_create"): "the first process; the others have copies",
    ("kernel/fs/table.c", "file_table_create"): "the first process; the others have copies",
    ("kernel/fs/procfs.c", "procfs_create"): "boot: the one superblock of all mounts of /proc",
    ("kernel/fs/initramfs.c", "initramfs_unpack"): "boot",
    ("kernel/fs/initramfs.c", "make_symlink"): "boot",
    ("kernel/vm/check.c", "vm_check_init"): "boot",
    **{(f"kernel/dev/{file}.c", function): "boot: devices are looked for once, without a process" for file, function in (
        ("virtio", "virtio_queue"), ("virtio_blk", "make_slots"), ("virtio_blk", "virtio_blk_start"), ("virtio_mmio", "look_at"),
        ("virtio_pci", "look_at"), ("virtio_rng", "virtio_rng_start"))},
    ("kernel/protect.c", "exec_heap"): "fault_test=exec-heap, which ends in a panic",
}
XV6 = {
    ("kernel/proc/elf.c", "elf_load_copied"): "xv6's programs are RISC-V's",
    ("kernel/proc/elf.c", "elf_begins_at_zero"): "xv6's programs are RISC-V's",
    ("kernel/sys/xv6.c", "exec"): "xv6's programs are RISC-V's",
    ("kernel/sys/xv6.c", "path_read"): "xv6's programs are RISC-V's",
    ("kernel/sys/xv6.c", "push_args"): "xv6's programs are RISC-V's",
}
SITE = re.compile(r"^ *(\d+) +(\d+) +(\d+) (\S+):(\d+) (\w+) (\w+)$", re.M)


def sites(text):
    """(file, function, line, what): calls, exempt, failed."""
    return {(m[4], m[6], m[5], m[7]): (int(m[1]), int(m[2]), int(m[3])) for m in SITE.finditer(text)}


def fail_all(*words, options=()):
    adds = ["--add", f"build/{ARCH}/boot/failnth:/bin/failnth", "--packages", "bash"]
    if ARCH == "riscv64":
        adds += ["--add", f"{TOP / 'build' / ARCH / 'xv6' / '_each'}:/bin/xv6-each"]
    status, out, err = run("failnth", *words, limit=400, options=["--debug", "--mem", "64M", "--cpus", "1", *options, *adds])
    text = out.decode(errors="replace")
    told = [line for line in text.split("\n") if line and not SITE.match(line)]
    assert status == 0 and "0 not ok" in told, "\n".join([w for w in told if w.startswith("not ok")] + told[-10:] + [err[-2000:]])
    return text


def test_every_allocation_fails():
    """One CPU: each k. The table and the sites are what this prints with `-s`."""
    text = fail_all()
    print(text)
    never = {**NEVER, **({} if ARCH == "riscv64" else XV6)}
    found = sites(text)
    unhit = {(site[0], site[1]) for site, (_, _, failed) in found.items() if failed == 0}
    assert len(found) > 80, text[-3000:]
    assert unhit - set(never) == set(), "sites that no failure was planted at, and nobody says why"
    assert set(never) - unhit == set(), "reasons for sites that are hit, or no longer there"
    in_interrupts = [exempt for site, (_, exempt, _) in found.items() if site[1] == "queue_add"]
    assert in_interrupts and in_interrupts[0] > 0


@pytest.mark.parametrize("options", [("--cpus", "4"), ("--append", "vm.fork=eager"), ("--append", "vm.overcommit=2", "--mem", "128M")])
def test_each_fifth_allocation_fails(options):
    """Beside other CPUs, and with the other ways to fork and to promise memory: each fifth k, beyond the first few."""
    text = fail_all("-t", "5", options=options)
    assert len(sites(text)) > 80
