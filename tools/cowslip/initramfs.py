"""The guest's root: a base archive that is kept, and a small one for each run."""
import io
import os
import subprocess
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from . import machines, packages
from .common import BUILD, EX_USAGE, TOP, Stop
from .cpio import MERGED, Archive, place

FOLDERS = {"dev": 0o755, "etc": 0o755, "home": 0o755, "proc": 0o555, "root": 0o700, "run": 0o755, "tmp": 0o1777,
           "usr/bin": 0o755, "usr/lib": 0o755, "usr/lib64": 0o755, "usr/sbin": 0o755, "var/tmp": 0o1777, "var/log": 0o755}


def applets(arch: str, busybox: Path) -> List[str]:
    """BusyBox's own list of links; where it cannot be run, what the archive of names in its binary says."""
    names: List[str] = []
    for emulator in ([machines.emulator(arch)], []):
        try:
            names = names or subprocess.run([*emulator, str(busybox), "--list-full"], stdout=subprocess.PIPE, check=True,
                                            text=True).stdout.split()
        except (OSError, subprocess.CalledProcessError):
            continue
    names = names or applets_in(busybox)
    return sorted(n for n in names if os.path.basename(n) not in ("busybox", "init", "linuxrc"))


def applets_in(busybox: Path) -> List[str]:
    """The names lie in the binary one after another, sorted, each ended by NUL, from "[" to "zcat"."""
    data = busybox.read_bytes()
    start = data.index(b"\0[\0[[\0") + 1
    end = data.index(b"\0zcat\0", start) + 5
    return ["bin/" + n.decode() for n in data[start:end].split(b"\0")]


def write_base(arch: str, tree: Path, out: Path) -> None:
    buf = io.BytesIO()
    a = Archive(buf)
    for name, mode in FOLDERS.items():
        a.folder(name, mode)
    for name in MERGED:
        a.link(name, f"usr/{name}")
    a.add(BUILD / arch / "user" / "init", "init")
    for f in sorted((TOP / "user" / "etc").iterdir()):
        a.file(f"etc/{f.name}", f.read_bytes())
    for package in packages.GUEST:
        for path in package.take:
            source, _, name = path.partition(":")
            a.add(tree / source, name or source)
    for name in sorted({place(n) for n in applets(arch, tree / "usr/bin/busybox")}):
        a.link(name, os.path.relpath("usr/bin/busybox", os.path.dirname(name)))
    a.end()
    temporary = out.with_suffix(".new")
    temporary.write_bytes(buf.getvalue())
    temporary.replace(out)


def parse_add(spec: str) -> Tuple[Path, str]:
    """HOST[:GUEST]; a colon that belongs to the host's name wins if such a file is there."""
    host, guest = Path(spec), ""
    if not os.path.lexists(spec) and ":" in spec:
        left, guest = spec.rsplit(":", 1)
        host = Path(left)
    if not host.exists():
        raise Stop(f"--add: {host} is not there", EX_USAGE)
    name = guest if guest else f"/root/{host.resolve().name}"
    if guest.endswith("/"):
        name = guest + host.resolve().name
    name = os.path.normpath("/" + name).lstrip("/")
    return host.resolve(), name


def write_packages(trees: List[Path], out: Path) -> None:
    """The packages' files, over the base: what they bring is taken instead of BusyBox's."""
    temporary = out.with_suffix(".new")
    with open(temporary, "wb") as f:
        a = Archive(f, [*FOLDERS, "usr", "var"])
        for tree in trees:
            a.add(tree, "")
        a.end()
    temporary.replace(out)


def write_extra(adds: List[str], cmd: Optional[List[str]], stdio: str, env: Dict[str, str]) -> bytes:
    buf = io.BytesIO()
    a = Archive(buf, [*FOLDERS, "usr", "var"])
    for spec in adds:
        host, name = parse_add(spec)
        try:
            a.add(host, name)
        except OSError as e:
            raise Stop(f"--add: {e.filename}: {e.strerror}", EX_USAGE) from e
    if cmd is not None:
        a.file("run/cowslip/cmd", b"".join(os.fsencode(w) + b"\0" for w in cmd))
    a.file("run/cowslip/stdio", stdio.encode())
    a.file("run/cowslip/env", b"".join(os.fsencode(f"{k}={v}") + b"\0" for k, v in env.items()))
    a.end()
    return buf.getvalue()
