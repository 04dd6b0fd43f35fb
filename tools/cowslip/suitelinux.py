"""Linux's own selftests for memory and for nolibc, from Debian's linux-source. Programs that print their results."""
import re
import subprocess
from pathlib import Path
from typing import Callable, List, NamedTuple, Tuple

from . import packages, suite
from .common import BUILD, TOP, Progress, Stop, one_at_a_time, say
from .machines import MACHINES

SOURCE = "linux-source-6.12"
SELFTESTS = "tools/testing/selftests"
TAKE = [f"{SELFTESTS}/mm", f"{SELFTESTS}/nolibc", f"{SELFTESTS}/kselftest.h", f"{SELFTESTS}/kselftest_harness.h", "tools/include",
        "tools/arch/riscv", "tools/arch/x86", "mm/gup_test.h", "tools/mm/page-types.c", "tools/lib/api", "tools/lib/str_error_r.c", "include/uapi/linux"]

# How to run a program. on-fault-limit: whoever has all rights has no limit. page-types is a tool, of which
# pages.sh asks what it must know.
HOW = {"on-fault-limit": "timeout 240 su -s /suite/on-fault-limit nobody",
       "page-types": "sh /suite/pages.sh"}


class Programs(NamedTuple):
    names: List[str]
    compile: Callable[[Path, str], List[str]]  # (the source tree, a program) -> compiler's arguments but for -o
    parse: Callable[[str], List[Tuple[str, str]]]  # what it printed -> (name, result)


def tap(text: str) -> List[Tuple[str, str]]:
    out = []
    if re.search(r"^1\.\.0 # SKIP", text, re.M):
        return [("all", "skip")]
    for word, name in re.findall(r"^(ok|not ok) \d+ ?(.*?)\r?$", text, re.M):
        skip = "# SKIP" in name
        out.append((name.replace("# SKIP", "").strip() or "-", "skip" if skip else "pass" if word == "ok" else "fail"))
    planned = re.search(r"^1\.\.(\d+)", text, re.M)
    if planned and int(planned.group(1)) > len(out):
        out.append((f"{int(planned.group(1)) - len(out)} that were not run", "fail"))
    return out


def nolibc(text: str) -> List[Tuple[str, str]]:
    words = {"OK": "pass", "FAIL": "fail", "SKIPPED": "skip"}
    return [(name, words[word]) for name, word in re.findall(r"^\d+ (\S+).*\[(OK|FAIL|SKIPPED)\]\r?$", text, re.M)]


def compile_mm(tree: Path, program: str) -> List[str]:
    mm = tree / SELFTESTS / "mm"
    (mm / "local_config.h").touch()  # of no use are liburing and huge pages
    if program == "page-types":
        return compile_page_types(tree)
    libraries = ["-lpthread", "-lrt", "-lm"]
    if program == "mlock-random-test":
        place = next(t for t in packages.with_dependencies(suite.ARCH, ["libcap-dev"]) if t.name.startswith("libcap-dev_")) / "usr"
        libraries += [f"-I{place / 'include'}", f"-L{place / 'lib' / MACHINES[suite.ARCH].compiler.rstrip('-')}", "-lcap"]
    return ["-O1", "-static", "-w", f"-I{mm}", f"-I{tree / 'tools/include/uapi'}", f"-I{tree / 'tools/include'}", "-D_GNU_SOURCE=",
            "-include", "stdint.h", str(mm / f"{program}.c"), str(mm / "vm_util.c"), str(mm / "thp_settings.c"), *libraries]


def compile_page_types(tree: Path) -> List[str]:
    lib = tree / "tools/lib"
    return ["-O1", "-static", "-w", "-D_GNU_SOURCE", f"-I{lib}", f"-I{lib / 'api'}", f"-I{tree / 'tools/include'}",
            str(tree / "tools/mm/page-types.c"), str(lib / "api/fs/fs.c"), str(lib / "api/debug.c"), str(lib / "str_error_r.c")]


def compile_nolibc(tree: Path, program: str) -> List[str]:
    folder, include = tree / SELFTESTS / "nolibc", tree / "tools/include/nolibc"
    return ["-O1", "-static", "-nostdlib", "-fno-stack-protector", "-w", "-include", str(include / "nolibc.h"), f"-I{include}",
            str(folder / f"{program}.c"), str(folder / "nolibc-test-linkage.c"), "-lgcc"]


@one_at_a_time("packages")
def source() -> Path:
    """The parts of Linux's source that are wanted; fetched if they are not there."""
    folder = BUILD / "packages" / SOURCE
    tree = folder / SOURCE
    complete, what = folder / ".complete", "\n".join(TAKE)
    if complete.exists() and complete.read_text() == what:
        return tree
    say(f"fetching {SOURCE} (Debian {packages.SUITE}, about 140 MB): the tests are in it")
    folder.mkdir(parents=True, exist_ok=True)
    with Progress("fetching"):
        state = packages.prepare(suite.ARCH)
        options = packages.apt_options(suite.ARCH, state)
        packages.run(["apt-get", *options, "update"], folder)
        packages.run(["apt-get", *options, "download", SOURCE], folder)
        deb = next(folder.glob("*.deb"))
        wanted = " ".join(f"{SOURCE}/{name}" for name in TAKE)
        packages.run(["sh", "-c", f"dpkg-deb --fsys-tarfile {deb} | tar -xO ./usr/src/{SOURCE}.tar.xz | tar -xJ {wanted}"], folder)
        deb.unlink()
    complete.write_text(what)
    return tree


def compiled(name: str, programs: Programs, tree: Path) -> List[Path]:
    out = BUILD / suite.ARCH / "suites" / name
    out.mkdir(parents=True, exist_ok=True)

    def one(program: str) -> None:
        done = subprocess.run([suite.CC, *programs.compile(tree, program), "-o", str(out / program)], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            say(done.stdout)
            raise Stop(f"{program} does not compile")
    suite.in_parallel([lambda p=p: one(p) for p in programs.names], f"compiling {name}")
    return [out / p for p in programs.names]


def prepare(name: str, programs: Programs) -> suite.Guest:
    files = compiled(name, programs, source())
    script = "".join(f"echo '@@ {p.name}'; cd /suite; {HOW.get(p.name, f'timeout 240 ./{p.name}')} 2>&1; echo '@@ end'\n" for p in files)
    return suite.Guest([*[f"{p}:/suite/{p.name}" for p in files], f"{TOP / 'test/suites/pages.sh'}:/suite/pages.sh"], script, limit=600)


def prepare_init(program: str) -> suite.Guest:
    """The same program as process 1, which turns the machine off if all has gone well."""
    file = compiled("nolibc", NOLIBC, source())[NOLIBC.names.index(program)]
    return suite.Guest([f"{file}:/{program}"], "", limit=120, init=f"/{program}")


def results_init(program: str, text: str) -> suite.Results:
    return results(NOLIBC, f"@@ {program}\n{text}@@ end\n") if re.search(r"^Running test", text, re.M) else {}


def results(programs: Programs, text: str) -> suite.Results:
    """Named PROGRAM NUMBER NAME, as what tests call themselves comes more than once."""
    out: suite.Results = {}
    for program, part in re.findall(r"^@@ (?!end)(\S+)\r?$(.*?)^@@ end\r?$", text, re.M | re.S):
        for number, (name, result) in enumerate(programs.parse(part), 1):
            out[f"{program} {number} {name}"] = result
        if not programs.parse(part):
            out[f"{program} 0 -"] = "fail"
    return out


MM = Programs(["cow", "madv_populate", "map_fixed_noreplace", "mremap_dontunmap", "mremap_test", "mkdirty", "mlock2-tests",
               "mlock-random-test", "on-fault-limit", "map_populate", "mrelease_test", "page-types"], compile_mm, tap)
NOLIBC = Programs(["nolibc-test"], compile_nolibc, nolibc)
