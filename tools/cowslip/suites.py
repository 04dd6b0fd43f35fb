"""
`cowslip test --suite NAME`: tests that other people wrote for Linux, on Cowslip, and
with --on linux on Debian's Linux in the same QEMU. Their sources are fetched from
Debian when they are wanted and never kept here; what is expected of each test is in
test/suites/NAME.expected, with a reason for all that does not pass. A difference in
either direction is a failure.
"""
from typing import Dict, List

from . import build, suite, suitebusybox, suitelinux, suiteposix, suiteshells, suitestress
from .common import EX_UNAVAILABLE, EX_USAGE, Stop, say


def linux_suite(name: str, programs: suitelinux.Programs) -> suite.Suite:
    return suite.Suite(lambda _: suitelinux.prepare(name, programs), lambda text: suitelinux.results(programs, text))


SUITES: Dict[str, suite.Suite] = {
    "mm": linux_suite("mm", suitelinux.MM),
    "nolibc": linux_suite("nolibc", suitelinux.NOLIBC),
    "nolibc-init": suite.Suite(lambda _: suitelinux.prepare_init("nolibc-test"), lambda text: suitelinux.results_init("nolibc-test", text)),
    "posix": suite.Suite(suiteposix.prepare, suiteposix.results, again=True),
    "busybox": suite.Suite(suitebusybox.prepare, suitebusybox.results),
    "shells": suite.Suite(suiteshells.prepare, suiteshells.results),
    "stress": suite.Suite(suitestress.prepare, suitestress.results, suitestress.table),
}


AGAIN = 40  # more than these are no chance
AGAIN_TIMES = 3  # some race with themselves: a signal is sent before its handler is set, when the host is busy


def chosen(results: suite.Results, patterns: List[str]) -> suite.Results:
    return {name: result for name, result in results.items() if not patterns or any(p in name for p in patterns)}


def run(arch: str, name: str, on_linux: bool, record: bool, debug: bool, patterns: List[str]) -> int:
    """`patterns`: only tests whose name has one of these in it count, and if the suite can, only they are run."""
    if name not in SUITES:
        raise Stop(f"--suite: one of {', '.join(SUITES)}", EX_USAGE)
    if record and patterns:
        raise Stop("--record is about the whole suite", EX_USAGE)
    suite.use(arch)
    guest = SUITES[name].prepare(patterns)._replace(debug=debug)
    build.kernel(suite.ARCH, debug)
    text = suite.run_on(name, guest, on_linux)
    got = chosen(SUITES[name].results(text), patterns)
    if not got:
        raise Stop("nothing was run", EX_UNAVAILABLE)
    print(SUITES[name].show(text), end="\n" if SUITES[name].show(text) else "")
    print(f"{name} on {'Linux' if on_linux else 'Cowslip'}: {suite.counts(got)}")
    if record:
        (suite.note_linux if on_linux else suite.write_expected)(name, got)
        return 0
    if on_linux:
        print("\n".join(f"{value}  {key}" for key, value in got.items() if value != "pass"))
        return 0
    expected = chosen(suite.read_expected(name), patterns)
    for _ in range(AGAIN_TIMES if SUITES[name].again else 0):
        different = [key for key, value in got.items() if suite.differs(expected, key, value)]
        if not 0 < len(different) <= AGAIN:
            break
        say(f"once more: {' '.join(different)}")
        text = suite.run_on(f"{name}-again", SUITES[name].prepare(different)._replace(debug=debug), False)
        got.update({key: value for key, value in SUITES[name].results(text).items() if key in different})
    wrong = suite.compare(expected, got)
    for line in wrong:
        print(line)
    print(f"{len(set(got) | set(expected)) - len(wrong)} as expected, {len(wrong)} not")
    return 1 if wrong else 0
