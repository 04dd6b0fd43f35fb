"""The command line of `cowslip`."""
import argparse
import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import List

from . import build, initramfs, machines, packages, profile, qemu, setup, xv6
from .common import BUILD, EX_USAGE, Stop, say
from .console import environment

EXAMPLES = """examples:
  cowslip run                           a shell in the guest; Ctrl-A X leaves
  cowslip run -- ls -l /                one program; its output and status are ours
  echo hello | cowslip run -- wc -c     standard input goes to it
  cowslip run --cpus 4 --add prog:/bin/prog -- prog
  cowslip run --disk FILE -- md5sum /dev/vda
  cowslip run --xv6 ~/xv6-riscv/user    the programs of an xv6 tree, in its shell
  cowslip test                          everything, also what takes minutes
"""


def mem(text: str) -> str:
    found = re.fullmatch(r"(\d+)([MmGg])", text)
    mib = int(found.group(1)) * (1024 if found and found.group(2) in "Gg" else 1) if found else 0
    if not 64 <= mib <= 18 * 1024:
        raise argparse.ArgumentTypeError(f"{text}: from 64M to 18G")
    return f"{mib}M"


def cpus(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 8:
        raise argparse.ArgumentTypeError(f"{text}: from 1 to 8")
    return int(text)


def disk(text: str) -> machines.Disk:
    name, read_only = (text[:-3], True) if text.endswith(":ro") else (text, False)
    path = Path(name)
    if not path.exists() or path.is_dir():
        raise argparse.ArgumentTypeError(f"{name}: no such file")
    if not os.access(path, os.R_OK if read_only else os.R_OK | os.W_OK):
        raise argparse.ArgumentTypeError(f"{name}: it cannot be {'read' if read_only else 'written to (FILE:ro only reads it)'}")
    return machines.Disk(str(path.resolve()), read_only)


def seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text}: seconds, more than 0")
    return value


def count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: a number, 1 or more")
    return int(text)


def add_arch(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--arch", choices=list(machines.MACHINES), default="riscv64", help="the machine (default: riscv64)")


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="cowslip", description="Runs and tests Cowslip, a small kernel whose fork() shares "
                                "address spaces as trees.", epilog=EXAMPLES,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = p.add_subparsers(dest="verb", required=True, metavar="VERB")
    r = verbs.add_parser("run", help="boot in QEMU: a shell, or one program", epilog=EXAMPLES,
                         formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arch(r)
    r.add_argument("--machine", choices=machines.models(), default="", help="which of QEMU's machines (x86_64: q35 or microvm)")
    r.add_argument("--mem", type=mem, default="512M", metavar="SIZE", help="memory, 64M to 16G (default: 512M)")
    r.add_argument("--cpus", type=cpus, default=2, metavar="N", help="1 to 8 (default: 2)")
    r.add_argument("--add", action="append", default=[], metavar="HOST[:GUEST]",
                   help="put a file or folder into the guest (default: /root/NAME); may be given again")
    r.add_argument("--packages", default="", metavar="NAME,...",
                   help="Debian 13 packages for the guest's root, with all that they depend on")
    r.add_argument("--xv6", type=Path, metavar="DIR|IMAGE",
                   help="xv6's programs: a folder of files named _NAME or an fs.img; runs their shell, or CMD among them")
    r.add_argument("--disk", action="append", default=[], type=disk, metavar="FILE[:ro]",
                   help="a file as a disk of the guest: /dev/vda, the next one /dev/vdb, ...; may be given again")
    r.add_argument("--virtio", choices=["mmio", "pci"], help="where disks and the source of random numbers are (riscv64: mmio, or pci)")
    r.add_argument("--append", action="append", default=[], metavar="WORDS", help="more boot arguments")
    r.add_argument("--icount", action="store_true", help="one CPU whose time counts instructions")
    r.add_argument("--timeout", type=seconds, metavar="SECONDS", help="end it after this time, with status 124")
    r.add_argument("--debug", action="store_true", help="the debug build: checks everything, slowly")
    r.add_argument("--gdb", action="store_true", help="wait for gdb before the first instruction")
    r.add_argument("-v", "--verbose", action="store_true", help="show the boot log and QEMU's command line")
    r.add_argument("cmd", nargs="*", metavar="-- CMD [ARG]", help="a program of the guest and its arguments")
    r.set_defaults(run=run)
    t = verbs.add_parser("test", help="build and run the tests")
    add_arch(t)
    t.add_argument("--quick", action="store_true", help="only the host tests and one boot")
    t.add_argument("--suite", metavar="NAME", help="instead: tests that others wrote for Linux (mm, nolibc, nolibc-init, posix, busybox, shells, stress)")
    t.add_argument("--on", choices=["cowslip", "linux"], default="cowslip", help="with --suite: the kernel that runs it")
    t.add_argument("--record", action="store_true", help="with --suite: write what is expected of it; on Linux: note what does not pass there either")
    t.add_argument("--debug", action="store_true", help="with --suite: on the debug build")
    t.add_argument("pattern", nargs="*", metavar="PATTERN", help="only tests whose name has one of these in it")
    t.set_defaults(run=test)
    k = verbs.add_parser("soak", help="random processes on pages with tags, for minutes or hours (docs/testing.md)")
    add_arch(k)
    k.add_argument("--minutes", type=seconds, default=1.0, metavar="N", help="how long (default: 1)")
    k.add_argument("--cpus", type=cpus, default=4, metavar="N", help="1 to 8 (default: 4)")
    k.add_argument("--processes", type=int, choices=range(8, 201), default=40, metavar="N", help="at most, 8 to 200 (default: 40)")
    k.add_argument("--seed", type=count, metavar="S", help="for the same choices again (default: the time)")
    kind = k.add_mutually_exclusive_group()
    kind.add_argument("--debug", dest="debug", action="store_true", default=True, help="the debug build, with audits (default)")
    kind.add_argument("--release", dest="debug", action="store_false", help="the release build: faster, no audits")
    k.add_argument("--recount", action="store_true", help="with --debug: recount at every fork, exec and exit, too; slow")
    k.set_defaults(run=soak)
    z = verbs.add_parser("callfuzz", help="system calls at random, or one episode of them again (docs/testing.md)")
    add_arch(z)
    z.add_argument("--calls", type=count, default=1000000, metavar="N", help="how many (default: 1000000)")
    z.add_argument("--cpus", type=cpus, default=4, metavar="N", help="1 to 8 (default: 4)")
    z.add_argument("--workers", type=int, choices=range(1, 17), default=8, metavar="N", help="processes at a time, 1 to 16 (default: 8)")
    z.add_argument("--seed", type=count, default=1, metavar="S", help="what is called (default: 1)")
    z.add_argument("--release", dest="debug", action="store_false", help="the release build: faster, leaks are not seen")
    z.add_argument("--episode", type=int, metavar="E", help="only this process again")
    z.add_argument("--from", dest="first", type=int, default=0, metavar="STEP", help="with --episode: its steps from this one")
    z.add_argument("--to", dest="last", type=int, default=20480, metavar="STEP", help="with --episode: and before this one")
    z.add_argument("--alone", action="store_true", help="with --episode: without the thread that changes its memory")
    z.add_argument("--log", action="store_true", help="with --episode: write each call before it is made")
    z.set_defaults(run=callfuzz)
    m = verbs.add_parser("museum", help="plant known faults, one at a time; some test must find each")
    m.add_argument("--record", action="store_true", help="write docs/museum.md")
    m.add_argument("pattern", nargs="*", metavar="PATTERN", help="only faults whose name has one of these in it")
    m.set_defaults(run=museum)
    o = verbs.add_parser("proof", help="prove operations on the tree of tables, within bounds (docs/proof.md)")
    o.add_argument("--mutants", action="store_true", help="and see that planted faults break the proof")
    o.add_argument("--all", action="store_true", help="also the cases that differ little from others")
    o.add_argument("pattern", nargs="*", metavar="PATTERN", help="only operations whose name has one of these in it")
    o.set_defaults(run=proof)
    b = verbs.add_parser("bench", help="measure Cowslip and Linux side by side")
    size = b.add_mutually_exclusive_group()
    size.add_argument("--quick", dest="size", action="store_const", const="quick", default="full", help="small sizes, a minute")
    size.add_argument("--big", dest="size", action="store_const", const="big", help="up to 16 GiB, with 18 GiB of memory")
    add_arch(b)
    b.add_argument("--kernels", metavar="NAMES", help="which of cowslip,cowslip-eager,linux (default: all)")
    b.add_argument("--check", action="store_true", help="with --quick: fail where a budget or the baseline is exceeded")
    b.add_argument("--record", action="store_true", help="with --quick: write bench/baseline.json")
    b.add_argument("--only", action="append", default=[], metavar="NAME", help="only this program; may be given again")
    b.add_argument("--mem", type=mem, metavar="SIZE", help="memory of the guest (default: 6G; quick 512M, big 18G)")
    b.add_argument("--out", type=Path, default=BUILD / "bench", metavar="DIR", help="where results go (default: build/bench)")
    b.set_defaults(run=bench)
    f = verbs.add_parser("profile", help="count the instructions of an operation, function by function")
    add_arch(f)
    f.add_argument("operation", choices=list(profile.MARKS), metavar="OPERATION", help=f"one of {', '.join(profile.MARKS)}")
    f.add_argument("--size", type=int, default=16, metavar="MIB", help="memory that the process has touched (default: 16)")
    f.add_argument("--eager", action="store_true", help="with tables copied at fork (vm.fork=eager)")
    f.add_argument("--all", action="store_true", help="every function, however small its share")
    f.set_defaults(run=lambda args: profile.run(args.arch, args.operation, args.size, args.eager, args.all))
    s = verbs.add_parser("setup", help="install what run and test need (they do it themselves, too)")
    add_arch(s)
    s.set_defaults(run=lambda args: prepare(args.arch))
    return p


def prepare(arch: str) -> int:
    setup.setup(arch, setup.TEST + setup.TEST_MACHINE.get(arch, []))
    packages.fetch(arch)
    return 0


def run(args: argparse.Namespace) -> int:
    if args.machine and args.machine not in machines.MACHINES[args.arch].models:
        raise Stop(f"--machine: {args.machine} is none of {args.arch}'s", EX_USAGE)
    args.machine = args.machine or machines.models_of(args.arch)[0]
    places = machines.MACHINES[args.arch].virtio[args.machine]
    args.virtio = args.virtio or places[0]
    if args.virtio not in places:
        raise Stop(f"--virtio: {args.machine} has no place for devices on {args.virtio}", EX_USAGE)
    if args.icount and args.disk:
        raise Stop("--icount: its time does not wait for a disk", EX_USAGE)
    if len(args.disk) > machines.most_disks(args.machine, args.virtio):
        raise Stop(f"--disk: {args.machine} has room for {machines.most_disks(args.machine, args.virtio)}", EX_USAGE)
    setup.setup(args.arch, setup.GDB if args.gdb else [])
    setup.check_versions(args.arch)
    if args.icount:
        args.cpus = 1
    packages.fetch(args.arch)
    kernel = build.kernel(args.arch, args.debug)
    base = build.base_archive(args.arch)
    stdio = qemu.stdio_kinds()
    with tempfile.TemporaryDirectory(prefix="run-", dir=BUILD) as folder:
        if args.xv6:
            home = Path(folder) / "xv6"
            home.mkdir()
            args.cmd = xv6.command(xv6.extract(args.xv6, home), args.cmd or [])
            args.add.append(f"{home}:{xv6.HOME}")
        extra = initramfs.write_extra(args.add, args.cmd, stdio, environment())
        initrd = Path(folder) / "initramfs.cpio"
        with open(initrd, "wb") as out:
            out.write(base.read_bytes())
            if args.packages:
                with open(build.package_archive(args.arch, args.packages.split(",")), "rb") as more:
                    shutil.copyfileobj(more, out, 1 << 20)
            out.write(extra)
        status = Path(folder) / "status"
        words = qemu.command_line(args.arch, kernel, initrd, args, status)
        if args.verbose:
            say(" ".join(words))
        if args.gdb:
            say(f"waiting for: gdb-multiarch {kernel} -ex 'target remote :1234'")
        session = qemu.Session(words, stdio, args.timeout, args.verbose, qemu.stdin_source(),
                               args.cmd is None, slow=args.gdb,
                               status_file=status if machines.MACHINES[args.arch].status_port else None)
        args.session = session
        return session.run()


def bench(args: argparse.Namespace) -> int:
    from . import bench as benches
    return benches.run(args.arch, args.kernels, args.size, args.only, args.out, args.mem, args.check, args.record)


def test(args: argparse.Namespace) -> int:
    from . import suites, testing
    setup.setup(args.arch, setup.TEST + setup.TEST_MACHINE.get(args.arch, []))
    packages.fetch(args.arch)
    if args.suite:
        return suites.run(args.arch, args.suite, args.on == "linux", args.record, args.debug, args.pattern)
    return testing.run(args.arch, args.quick, args.pattern)


def soak(args: argparse.Namespace) -> int:
    from . import soak as soaks
    seed = args.seed or int(time.time())
    packages.fetch(args.arch)
    setup.setup(args.arch, [])
    words = soaks.words(args.arch, args.minutes, args.cpus, args.debug, args.recount, seed, args.processes)
    inner = parser().parse_args(words)
    inner.cmd = soaks.command(args.minutes, seed, args.processes)
    return run(inner)


def callfuzz(args: argparse.Namespace) -> int:
    from . import callfuzz as fuzz
    setup.setup(args.arch, [])
    packages.fetch(args.arch)
    inner = parser().parse_args(fuzz.words(args.arch, args.cpus, args.debug, args.calls))
    inner.cmd = fuzz.command(args)
    status = run(inner)
    if status:
        fuzz.explain(args, inner.session.log.show())
    return status


def museum(args: argparse.Namespace) -> int:
    from . import museum as faults
    setup.setup("riscv64", setup.TEST)
    packages.fetch("riscv64")
    return faults.show(args.pattern, args.record)


def proof(args: argparse.Namespace) -> int:
    from . import proof as proofs
    setup.setup("riscv64", [])
    return proofs.run(args.mutants, args.all, args.pattern)


def main(argv: List[str]) -> int:
    split = argv.index("--") if "--" in argv else len(argv)
    args = parser().parse_args(argv[:split])
    if args.verb == "run":
        if args.cmd:
            say("a program to run comes after --")
            return EX_USAGE
        args.cmd = argv[split + 1:] or None
    try:
        return args.run(args)
    except Stop as e:
        say(str(e))
        return e.status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
