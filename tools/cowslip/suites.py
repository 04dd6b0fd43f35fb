"""
`cowslip test --suite NAME`: tests that other people wrote for Linux, on Cowslip, and
with --on linux on Debian's Linux in the same QEMU. Their sources are fetched from
Debian when they are wanted and never kept here; what is expected of each test is in
test/suites/NAME.expected, with a reason for all that does not pass. A difference in
either direction is a failure.
"""
from typing import Dict

from . import build, suite, suitelinux, suiteposix
from .common import EX_UNAVAILABLE, EX_USAGE, Stop


def linux_suite(name: str, programs: suitelinux.Programs) -> suite.Suite:
    return suite.Suite(lambda: suitelinux.prepare(name, programs), lambda text: suitelinux.results(programs, text))


SUITES: Dict[str, suite.Suite] = {
    "mm": linux_suite("mm", suitelinux.MM),
    "nolibc": linux_suite("nolibc", suitelinux.NOLIBC),
    "nolibc-init": suite.Suite(lambda: suitelinux.prepare_init("nolibc-test"), lambda text: suitelinux.results_init("nolibc-test", text)),
    "posix": suite.Suite(suiteposix.prepare, suiteposix.results),
}


def run(name: str, on_linux: bool, record: bool) -> int:
    if name not in SUITES:
        raise Stop(f"--suite: one of {', '.join(SUITES)}", EX_USAGE)
    guest = SUITES[name].prepare()
    build.kernel(suite.ARCH, guest.debug)
    got = SUITES[name].results(suite.run_on(name, guest, on_linux))
    if not got:
        raise Stop("nothing was run", EX_UNAVAILABLE)
    print(f"{name} on {'Linux' if on_linux else 'Cowslip'}: {suite.counts(got)}")
    if record:
        (suite.note_linux if on_linux else suite.write_expected)(name, got)
        return 0
    if on_linux:
        print("\n".join(f"{value}  {key}" for key, value in got.items() if value != "pass"))
        return 0
    wrong = suite.compare(suite.read_expected(name), got)
    for line in wrong:
        print(line)
    print(f"{len(set(got) | set(suite.read_expected(name))) - len(wrong)} as expected, {len(wrong)} not")
    return 1 if wrong else 0
