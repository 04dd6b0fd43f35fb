"""
BusyBox's own testsuite, from Debian's source package busybox, of Debian's busybox-static,
which the guest's tools are. The configuration is Debian's of the static build, so
that the tests of what was not built are skipped as upstream intends.
"""
import re
import shutil
from typing import Dict, List

from . import packages, suite
from .common import BUILD

LIMIT = 1800  # seconds
# As Debian's own build runs it (debian/rules), without bc: two of its tests print a million numbers, which takes
# an emulated machine ten minutes and asks nothing of a kernel.
SCRIPT = """mkdir -p /tmp/bb
cp -a /suite/bb/. /tmp/bb
cd /tmp/bb/testsuite
ln -sf /bin/busybox ../busybox
export SKIP_KNOWN_BUGS=y SKIP_INTERNET_TESTS=y SHELL=/bin/sh ECHO=/bin/echo LANG=C.UTF-8 LC_ALL=C.UTF-8
timeout -s KILL {limit} setsid ./runtest -v {applets} </dev/null 2>&1
echo "@@ runtest exit $?"
"""
APPLETS = "busybox $(../busybox --list | grep -vx -e busybox -e bc)"
WORDS = {"PASS": "pass", "FAIL": "fail", "SKIPPED": "skip", "UNTESTED": "untested"}


def prepare(patterns: List[str]) -> suite.Guest:
    """A pattern is the name of an applet, whose tests have that in their names."""
    tree = packages.source("busybox", [])
    place = BUILD / suite.ARCH / "suites" / "busybox"
    place.mkdir(parents=True, exist_ok=True)
    shutil.copy(tree.parent / "debian" / "config" / "pkg" / "static", place / ".config")
    adds = [f"{place / '.config'}:/suite/bb/.config", f"{tree / 'testsuite'}:/suite/bb/testsuite"]
    return suite.Guest(adds, SCRIPT.format(limit=LIMIT, applets=" ".join(patterns) or APPLETS), limit=LIMIT + 60)


def results(text: str) -> suite.Results:
    """A name that comes again gets a number."""
    out: suite.Results = {}
    seen: Dict[str, int] = {}
    for word, name in re.findall(r"^(PASS|FAIL|SKIPPED|UNTESTED): (.*)$", text, re.M):
        name = " ".join(name.split())
        seen[name] = seen.get(name, 0) + 1
        out[name + (f" [{seen[name]}]" if seen[name] > 1 else "")] = WORDS[word]
    ended = re.search(r"^@@ runtest exit (\d+)$", text, re.M)
    out["runtest comes to its end"] = "pass" if ended and int(ended.group(1)) < 128 else "fail"
    return out
