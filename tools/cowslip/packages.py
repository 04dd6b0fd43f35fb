"""Debian 13 packages for the guest, fetched into a private apt state and unpacked under build/."""
import re
import shutil
import subprocess
from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence, Tuple

from .common import BUILD, EX_UNAVAILABLE, EX_USAGE, Progress, Stop, one_at_a_time, say
from .machines import MACHINES

SUITE = "trixie"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
DEBIAN_ARCH = {**{name: machine.debian for name, machine in MACHINES.items()}, "amd64": "amd64"}  # the last: a tool of this machine's

class Guest(NamedTuple):
    """A package of the guest: which of its files and folders the guest's root gets, as PATH or PATH:PATH-IN-GUEST."""
    name: str
    why: str
    take: Tuple[str, ...]


GUEST = [
    Guest("busybox-static", "the shell and tools of the guest", ("usr/bin/busybox",)),
]


class Source(NamedTuple):
    """An archive in apt's settings."""
    uri: str
    suite: str
    components: Tuple[str, ...]


def one_line_sources(text: str) -> List[Source]:
    """The form of sources.list: deb [OPTIONS] URI SUITE COMPONENT..."""
    found = re.findall(r"^[ \t]*deb[ \t]+(?:\[[^]\n]*\][ \t]+)?(\S+)[ \t]+(\S+)([^#\n]*)", text, re.M)
    return [Source(uri, suite, tuple(rest.split())) for uri, suite, rest in found]


def deb822_sources(text: str) -> List[Source]:
    """The form of *.sources: paragraphs of NAME: VALUES, where a line that begins with a space goes on."""
    out = []
    text = re.sub(r"^#.*\n?", "", text, flags=re.M)
    for paragraph in re.split(r"\n[ \t]*\n", text):
        joined = re.sub(r"\n[ \t]+", " ", paragraph)
        fields = {k.lower(): v.split() for k, v in re.findall(r"^([A-Za-z-]+):(.*)$", joined, re.M)}
        if "deb" in fields.get("types", []) and fields.get("enabled", ["yes"])[0].lower() not in ("no", "false", "0"):
            out += [Source(uri, suite, tuple(fields.get("components", ())))
                    for uri in fields.get("uris", []) for suite in fields.get("suites", [])]
    return out


def debian_mirror(sources: List[Source]) -> Optional[str]:
    """The archive that is most likely Debian's main one: by its address, else by its suite; not that of security updates."""
    usable = [s for s in sources if "main" in s.components and "security" not in s.uri + s.suite and
              re.match(r"(https?|ftp|file|mirror\+\w+):", s.uri)]
    likely = ([s for s in usable if re.search(r"/debian/?$", s.uri)] or
              [s for s in usable if s.suite in ("bookworm", "trixie", "stable", "testing", "sid")])
    return likely[0].uri.rstrip("/") if likely else None


def mirror() -> Optional[str]:
    """Where this machine's own apt gets Debian from."""
    folder = Path("/etc/apt/sources.list.d")
    sources: List[Source] = []
    for f in [*sorted(folder.glob("*.sources")), Path("/etc/apt/sources.list"), *sorted(folder.glob("*.list"))]:
        if f.is_file():
            text = f.read_text(errors="replace")
            sources += deb822_sources(text) if f.suffix == ".sources" else one_line_sources(text)
    return debian_mirror(sources)


def apt_options(arch: str, state: Path) -> List[str]:
    return [f"-oAPT::Architecture={DEBIAN_ARCH[arch]}", f"-oAPT::Architectures={DEBIAN_ARCH[arch]}",
            f"-oDir::State={state}", f"-oDir::State::Lists={state}/lists", f"-oDir::State::status={state}/status",
            f"-oDir::Etc::SourceList={state}/sources.list", "-oDir::Etc::SourceParts=/nonexistent",
            f"-oDir::Cache={state}/cache", "-oAPT::Sandbox::User=root", "-oAcquire::Languages=none",
            "-oAcquire::Retries=2"]


def prepare(arch: str, kinds: Sequence[str] = ("deb",)) -> Path:
    state = BUILD / "apt" / arch
    uri = mirror()
    if not uri:
        raise Stop("no Debian mirror in this machine's apt settings; the guest's packages come from there",
                   EX_UNAVAILABLE)
    for folder in ("lists/partial", "cache/archives/partial"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    (state / "sources.list").write_text("".join(f"{kind} [signed-by={KEYRING}] {uri} {SUITE} main\n" for kind in kinds))
    return state


def run(words: List[str], where: Path) -> None:
    done = subprocess.run(words, cwd=where, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    if done.returncode:
        for line in done.stdout.splitlines():
            if line.startswith(("E:", "Err:", "dpkg-deb:")):
                say(line)
        raise Stop(f"the guest's packages cannot be fetched, and are not here: Debian {SUITE}, "
                   f"{' '.join(p.name for p in GUEST)}; the network is needed once", EX_UNAVAILABLE)


def folder(arch: str) -> Path:
    return BUILD / "packages" / arch


def fetch(arch: str) -> Path:
    """The packages' files, unpacked in one tree; fetched if they are not there."""
    tree = folder(arch)
    if any(not (tree / f".{p.name}").exists() for p in GUEST):
        fetch_missing(arch, tree)
    return tree


@one_at_a_time("packages")
def fetch_missing(arch: str, tree: Path) -> None:
    missing = [p for p in GUEST if not (tree / f".{p.name}").exists()]
    for p in missing:
        say(f"fetching {p.name} for {arch} (Debian {SUITE}): {p.why}")
    tree.mkdir(parents=True, exist_ok=True)
    with Progress("fetching"):
        state = prepare(arch)
        options = apt_options(arch, state)
        run(["apt-get", *options, "update"], state)
        for p in missing:
            for old in state.glob(f"{p.name}_*.deb"):
                old.unlink()
            run(["apt-get", *options, "download", p.name], state)
            debs = list(state.glob(f"{p.name}_*.deb"))
            if not debs:
                raise Stop(f"{p.name} was not downloaded", EX_UNAVAILABLE)
            run(["dpkg-deb", "-x", str(debs[0]), str(tree)], state)
            (tree / f".{p.name}").touch()


# What a package brings for people to read, and the guest has no use for.
LEFT_OUT = ["usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian", "usr/share/bug",
            "usr/share/bash-completion"]


def check_names(names: List[str]) -> None:
    for n in names:
        if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", n):
            raise Stop(f"--packages: {n!r} is no name of a Debian package", EX_USAGE)


def unpacked(arch: str, deb: Path) -> Path:
    """One package's files in a folder of their own, which is kept."""
    tree = BUILD / "packages" / f"{arch}-all" / deb.stem
    if not tree.exists():
        temporary = tree.with_suffix(".new")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        run(["dpkg-deb", "-x", str(deb), str(temporary)], temporary)
        for name in LEFT_OUT:
            shutil.rmtree(temporary / name, ignore_errors=True)
        temporary.rename(tree)
    return tree


def with_dependencies(arch: str, names: List[str]) -> List[Path]:
    """The unpacked trees of the packages and of all that they depend on. What has been fetched once is kept."""
    check_names(names)
    wanted = sorted(set(names))
    record = BUILD / "packages" / f"{arch}-all" / (",".join(wanted) + ".list")
    return recorded(record) or fetch_with_dependencies(arch, wanted, record)


def recorded(record: Path) -> List[Path]:
    trees = [record.parent / line for line in record.read_text().split()] if record.exists() else []
    return trees if all(t.exists() for t in trees) else []


@one_at_a_time("packages")
def fetch_with_dependencies(arch: str, wanted: List[str], record: Path) -> List[Path]:
    if recorded(record):
        return recorded(record)
    say(f"fetching {' '.join(wanted)} for {arch} (Debian {SUITE}), and what they depend on")
    with Progress("fetching"):
        state = prepare(arch)
        options = apt_options(arch, state)
        run(["apt-get", *options, "update"], state)
        debs = state / "cache" / "archives"
        for old in debs.glob("*.deb"):
            old.unlink()
        run(["apt-get", *options, "-oDebug::NoLocking=1", "--no-install-recommends", "-y", "-d", "install", *wanted], state)
        trees = [unpacked(arch, deb) for deb in sorted(debs.glob("*.deb"))]
    record.with_suffix(".new").write_text("\n".join(t.name for t in trees) + "\n")
    record.with_suffix(".new").rename(record)
    return trees


@one_at_a_time("packages")
def source(name: str, patches: List[str]) -> Path:
    """A source package of Debian, as its authors published it, with some of Debian's patches; beside it, its folder debian."""
    place = BUILD / "packages" / f"{name}-source"
    tree = place / "source"
    if (place / ".complete").exists():
        return tree
    say(f"fetching the source of {name} (Debian {SUITE})")
    shutil.rmtree(place, ignore_errors=True)
    tree.mkdir(parents=True)
    with Progress("fetching"):
        state = prepare("riscv64", ("deb", "deb-src"))
        options = apt_options("riscv64", state)
        run(["apt-get", *options, "update"], place)
        run(["apt-get", *options, "source", "--download-only", name], place)
        for archive, where in ((next(place.glob("*.orig.tar.*")), ["-C", str(tree), "--strip-components=1"]),
                               (next(place.glob("*.debian.tar.*")), ["-C", str(place)])):
            run(["tar", "-xf", str(archive), *where], place)
        for p in patches:
            run(["patch", "-d", str(tree), "-p1", "-s", "-i", str(place / "debian" / "patches" / p)], place)
    (place / ".complete").touch()
    return tree


@one_at_a_time("packages")
def linux(arch: str) -> Path:
    """Debian's Linux for side-by-side runs: its image, fetched if it is not there."""
    tree = BUILD / "packages" / f"{arch}-linux"
    images = sorted(tree.glob("boot/vmlinu*"))
    if images:
        return images[-1]
    say(f"fetching linux-image-{DEBIAN_ARCH[arch]} (Debian {SUITE}, about 110 MB): the kernel to compare with")
    tree.mkdir(parents=True, exist_ok=True)
    with Progress("fetching"):
        state = prepare(arch)
        options = apt_options(arch, state)
        run(["apt-get", *options, "update"], state)
        shown = subprocess.run(["apt-cache", *options, "depends", f"linux-image-{DEBIAN_ARCH[arch]}"], cwd=state,
                               stdout=subprocess.PIPE, text=True, check=False).stdout
        found = re.search(r"Depends: (linux-image-\S+)", shown)
        if not found:
            raise Stop(f"linux-image-{DEBIAN_ARCH[arch]} cannot be found in Debian {SUITE}", EX_UNAVAILABLE)
        for old in state.glob("linux-image-*.deb"):
            old.unlink()
        run(["apt-get", *options, "download", found.group(1)], state)
        deb = next(state.glob("linux-image-*.deb"))
        run(["sh", "-c", f"dpkg-deb --fsys-tarfile {deb} | tar -x -C {tree} ./boot"], state)
        deb.unlink()
    return sorted(tree.glob("boot/vmlinu*"))[-1]
