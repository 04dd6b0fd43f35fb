"""
`cowslip test --suite NAME`: tests that other people wrote for Linux, on Cowslip, and
with --on linux on Debian's Linux in the same QEMU. Their sources are fetched when
they are wanted (Debian's linux-source) and never kept here; what is expected of each
test is in test/suites/NAME.expected, with a reason for all that does not pass. A
difference in either direction is a failure.
"""
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Tuple

from . import bench, build, packages
from .common import BUILD, EX_UNAVAILABLE, EX_USAGE, TOP, Progress, Stop, say
from .machines import MACHINES

LIMIT = 300  # seconds for one suite
SOURCE = "linux-source-6.12"
SELFTESTS = "tools/testing/selftests"
TAKE = [f"{SELFTESTS}/mm", f"{SELFTESTS}/nolibc", f"{SELFTESTS}/kselftest.h", f"{SELFTESTS}/kselftest_harness.h", "tools/include",
        "tools/arch/riscv", "tools/arch/x86", "mm/gup_test.h"]

Results = Dict[str, str]  # "PROGRAM NUMBER NAME" -> pass, fail, skip


class Suite(NamedTuple):
    programs: List[str]
    compile: Callable[[Path, str], List[str]]  # (the source tree, a program) -> compiler's arguments but for -o
    parse: Callable[[str], List[Tuple[str, str]]]  # what it printed -> (name, result)


def tap(text: str) -> List[Tuple[str, str]]:
    out = []
    for word, name in re.findall(r"^(ok|not ok) \d+ ?(.*?)\r?$", text, re.M):
        skip = "# SKIP" in name
        out.append((name.replace("# SKIP", "").strip() or "-", "skip" if skip else "pass" if word == "ok" else "fail"))
    return out


def nolibc(text: str) -> List[Tuple[str, str]]:
    words = {"OK": "pass", "FAIL": "fail", "SKIPPED": "skip"}
    return [(name, words[word]) for name, word in re.findall(r"^\d+ (\S+).*\[(OK|FAIL|SKIPPED)\]\r?$", text, re.M)]


def compile_mm(tree: Path, program: str) -> List[str]:
    mm = tree / SELFTESTS / "mm"
    (mm / "local_config.h").touch()  # of no use are liburing and huge pages
    return ["-O1", "-static", "-w", f"-I{mm}", f"-I{tree / 'tools/include/uapi'}", f"-I{tree / 'tools/include'}", "-D_GNU_SOURCE=",
            "-include", "stdint.h", str(mm / f"{program}.c"), str(mm / "vm_util.c"), str(mm / "thp_settings.c"), "-lpthread", "-lrt"]


def compile_nolibc(tree: Path, program: str) -> List[str]:
    folder, include = tree / SELFTESTS / "nolibc", tree / "tools/include/nolibc"
    return ["-O1", "-static", "-nostdlib", "-fno-stack-protector", "-w", "-include", str(include / "nolibc.h"), f"-I{include}",
            str(folder / f"{program}.c"), str(folder / "nolibc-test-linkage.c"), "-lgcc"]


SUITES = {
    "mm": Suite(["cow", "madv_populate", "map_fixed_noreplace", "mremap_dontunmap", "mremap_test"], compile_mm, tap),
    "nolibc": Suite(["nolibc-test"], compile_nolibc, nolibc),
}


def source(arch: str) -> Path:
    """The parts of Linux's source that are wanted; fetched if they are not there."""
    folder = BUILD / "packages" / SOURCE
    tree = folder / SOURCE
    if (folder / ".complete").exists() and all((tree / name).exists() for name in TAKE):
        return tree
    say(f"fetching {SOURCE} (Debian {packages.SUITE}, about 140 MB): the tests are in it")
    folder.mkdir(parents=True, exist_ok=True)
    with Progress("fetching"):
        state = packages.prepare(arch)
        options = packages.apt_options(arch, state)
        packages.run(["apt-get", *options, "update"], folder)
        packages.run(["apt-get", *options, "download", SOURCE], folder)
        deb = next(folder.glob("*.deb"))
        wanted = " ".join(f"{SOURCE}/{name}" for name in TAKE)
        packages.run(["sh", "-c", f"dpkg-deb --fsys-tarfile {deb} | tar -xO ./usr/src/{SOURCE}.tar.xz | tar -xJ {wanted}"], folder)
        deb.unlink()
    (folder / ".complete").touch()
    return tree


def compiled(arch: str, name: str, tree: Path) -> List[Path]:
    out = BUILD / arch / "suites" / name
    out.mkdir(parents=True, exist_ok=True)
    for program in SUITES[name].programs:
        done = subprocess.run([f"{MACHINES[arch].compiler}gcc", *SUITES[name].compile(tree, program), "-o", str(out / program)],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            say(done.stdout)
            raise Stop(f"{program} does not compile")
    return [out / p for p in SUITES[name].programs]


SCRIPT = "".join(f"echo '@@ {{0}}'; cd /suite; ./{{0}} 2>&1; echo '@@ end'\n")


def run_cowslip(arch: str, programs: List[Path]) -> str:
    adds = [w for p in programs for w in ("--add", f"{p}:/suite/{p.name}")]
    script = "".join(SCRIPT.format(p.name) for p in programs)
    done = subprocess.run(["./cowslip", "run", "--arch", arch, "--mem", "4G", "--cpus", "2", "--timeout", str(LIMIT), *adds, "--", "sh", "-c", script],
                          cwd=TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          errors="replace", check=False)
    if done.returncode:
        say(done.stderr[-4000:])
        raise Stop(f"the guest ended with status {done.returncode}")
    return done.stdout


def run_linux(arch: str, programs: List[Path]) -> str:
    from . import initramfs
    with tempfile.TemporaryDirectory(prefix="suite-", dir=BUILD) as name:
        folder = Path(name)
        script, initrd = folder / "script", folder / "initramfs.cpio"
        commands = "".join(SCRIPT.format(p.name) for p in programs)
        script.write_text(bench.GUEST_SCRIPT.format(commands=f"mount -t tmpfs tmpfs /tmp\n{commands}"))
        script.chmod(0o755)
        adds = [f"{p}:/suite/{p.name}" for p in programs] + [f"{script}:/{bench.SCRIPT}"]
        extra = initramfs.write_extra(adds, None, "ttt", {})
        initrd.write_bytes(build.base_archive(arch).read_bytes() + extra)
        boot = bench.Boot(bench.command_line(arch, bench.KERNELS["linux"], packages.linux(arch), initrd, "4G", False))
        boot.run("linux", None)
        return "\n".join(boot.text)


def results(suite: Suite, text: str) -> Results:
    out: Results = {}
    for program, part in re.findall(r"^@@ (?!end)(\S+)\r?$(.*?)^@@ end\r?$", text, re.M | re.S):
        for number, (name, result) in enumerate(suite.parse(part), 1):
            out[f"{program} {number} {name}"] = result
        if not suite.parse(part):
            out[f"{program} 0 -"] = "fail"
    return out


def expected_file(arch: str, name: str) -> Path:
    return TOP / "test" / "suites" / (f"{name}.expected" if arch == "riscv64" else f"{name}.{arch}.expected")


def read_expected(arch: str, name: str) -> Results:
    """Lines: RESULT  PROGRAM NUMBER NAME, and after a # why, if it is no pass."""
    out: Results = {}
    for line in expected_file(arch, name).read_text().splitlines():
        words = re.split(r"\s{2,}#", line)[0].split(None, 1)
        if len(words) == 2 and words[0] in ("pass", "fail", "skip"):
            out[words[1].strip()] = words[0]
    return out


def write_expected(arch: str, name: str, got: Results) -> None:
    """Reasons that are there stay; who records adds what is missing."""
    file = expected_file(arch, name)
    reasons = dict(re.findall(r"^\w+\s+(.*?)(\s{2,}#.*)$", file.read_text(), re.M)) if file.exists() else {}
    file.write_text("".join(f"{value}  {key}{reasons.get(key, '') if value != 'pass' else ''}\n" for key, value in got.items()))


def compare(expected: Results, got: Results) -> List[str]:
    wrong = [f"{key}: {got.get(key, 'is missing')}, expected {value}" for key, value in expected.items() if got.get(key) != value]
    return wrong + [f"{key}: {value}, and nothing is expected of it" for key, value in got.items() if key not in expected]


def run(arch: str, name: str, on_linux: bool, record: bool) -> int:
    if name not in SUITES:
        raise Stop(f"--suite: one of {', '.join(SUITES)}", EX_USAGE)
    programs = compiled(arch, name, source(arch))
    build.kernel(arch, False)
    with Progress(name):
        got = results(SUITES[name], (run_linux if on_linux else run_cowslip)(arch, programs))
    if not got:
        raise Stop("nothing was run", EX_UNAVAILABLE)
    count = {word: sum(1 for r in got.values() if r == word) for word in ("pass", "fail", "skip")}
    print(f"{name} on {'Linux' if on_linux else 'Cowslip'}: {count['pass']} passed, {count['fail']} failed, {count['skip']} skipped")
    if record:
        write_expected(arch, name, got)
        return 0
    if on_linux:
        print("\n".join(f"{value}  {key}" for key, value in got.items() if value != "pass"))
        return 0
    wrong = compare(read_expected(arch, name), got)
    for line in wrong:
        print(line)
    print(f"{len(got) - len(wrong)} as expected, {len(wrong)} not")
    return 1 if wrong else 0
