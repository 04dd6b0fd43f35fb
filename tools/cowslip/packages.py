"""Debian 13 packages for the guest, fetched into a private apt state and unpacked under build/."""
import re
import subprocess
from pathlib import Path
from typing import Dict, List, Optional

from .common import BUILD, EX_UNAVAILABLE, Progress, Stop, say

SUITE = "trixie"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
DEBIAN_ARCH = {"riscv64": "riscv64"}

# What the guest has: package -> what it is for.
GUEST: Dict[str, str] = {"busybox-static": "the shell and tools of the guest"}


def mirror() -> Optional[str]:
    """Where this machine's own apt gets Debian from."""
    files = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    for f in files:
        if not f.is_file():
            continue
        for line in f.read_text(errors="replace").splitlines():
            found = (re.match(r"\s*URIs:\s*(\S+)", line) if f.suffix == ".sources" else
                     re.match(r"\s*deb\s+(?:\[[^]]*\]\s+)?(\S+)", line))
            if found and "security" not in found.group(1):
                return found.group(1).rstrip("/")
    return None


def apt_options(arch: str, state: Path) -> List[str]:
    return [f"-oAPT::Architecture={DEBIAN_ARCH[arch]}", f"-oAPT::Architectures={DEBIAN_ARCH[arch]}",
            f"-oDir::State={state}", f"-oDir::State::Lists={state}/lists", f"-oDir::State::status={state}/status",
            f"-oDir::Etc::SourceList={state}/sources.list", "-oDir::Etc::SourceParts=/nonexistent",
            f"-oDir::Cache={state}/cache", "-oAPT::Sandbox::User=root", "-oAcquire::Languages=none",
            "-oAcquire::Retries=2"]


def prepare(arch: str) -> Path:
    state = BUILD / "apt" / arch
    uri = mirror()
    if not uri:
        raise Stop("no Debian mirror in this machine's apt settings; the guest's packages come from there",
                   EX_UNAVAILABLE)
    for folder in ("lists/partial", "cache/archives/partial"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    (state / "sources.list").write_text(f"deb [signed-by={KEYRING}] {uri} {SUITE} main\n")
    return state


def run(words: List[str], where: Path) -> None:
    done = subprocess.run(words, cwd=where, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    if done.returncode:
        raise Stop(f"{done.stdout.strip()}\ncowslip: the guest's packages cannot be fetched (Debian {SUITE}: "
                   f"{' '.join(GUEST)})", EX_UNAVAILABLE)


def folder(arch: str) -> Path:
    return BUILD / "packages" / arch


def fetch(arch: str) -> Path:
    """The packages' files, unpacked in one tree; fetched if they are not there."""
    tree = folder(arch)
    missing = [p for p in GUEST if not (tree / f".{p}").exists()]
    if not missing:
        return tree
    for p in missing:
        say(f"fetching {p} for {arch} (Debian {SUITE}): {GUEST[p]}")
    tree.mkdir(parents=True, exist_ok=True)
    with Progress("fetching"):
        state = prepare(arch)
        options = apt_options(arch, state)
        run(["apt-get", *options, "update"], state)
        for p in missing:
            for old in state.glob(f"{p}_*.deb"):
                old.unlink()
            run(["apt-get", *options, "download", p], state)
            debs = list(state.glob(f"{p}_*.deb"))
            if not debs:
                raise Stop(f"{p} was not downloaded", EX_UNAVAILABLE)
            run(["dpkg-deb", "-x", str(debs[0]), str(tree)], state)
            (tree / f".{p}").touch()
    return tree
