"""Builds the kernel and the base initramfs, if anything has changed."""
import os
import subprocess
from pathlib import Path
from typing import List

from . import initramfs, packages
from .common import BUILD, TOP, Progress, Stop, one_at_a_time, say


def make(what: str, words: List[str]) -> None:
    command = ["make", "-C", str(TOP), "--no-print-directory", f"-j{os.cpu_count() or 1}", *words]
    def is_made() -> bool:
        return subprocess.run([*command, "-q"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0

    if is_made():
        return
    with one_at_a_time("make"):  # tests that run side by side start commands that would build
        if is_made():
            return
        with Progress(what):
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        say(done.stdout.strip())
        raise Stop(f"{what} failed", 69 if "cannot be fetched" in done.stdout else 1)


def kernel(arch: str, debug: bool) -> Path:
    out = BUILD / f"{arch}-{'debug' if debug else 'release'}" / "kernel.elf"
    first = not out.exists()
    if first:
        say(f"building the kernel ({out.relative_to(TOP)})")
    make("building the kernel", ["kernel", f"ARCH={arch}", *(["DEBUG=1"] if debug else [])])
    return out


def base_archive(arch: str) -> Path:
    make("making the initramfs", [f"build/{arch}/initramfs.cpio", f"ARCH={arch}"])
    return BUILD / arch / "initramfs.cpio"


@one_at_a_time("archive")
def package_archive(arch: str, names: List[str]) -> Path:
    """The files of Debian packages and of what they depend on, as an archive to append to the base."""
    trees = packages.with_dependencies(arch, [n for n in names if n])
    out = BUILD / "packages" / f"{arch}-all" / (",".join(sorted(set(names))) + ".cpio")
    newest = max([t.stat().st_ctime for t in trees] + [Path(__file__).parent.joinpath("cpio.py").stat().st_mtime])
    if not out.exists() or out.stat().st_mtime < newest:
        initramfs.write_packages(trees, out)
    return out
