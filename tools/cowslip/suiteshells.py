"""
The shells of Lua and SQLite, as Debian 13 has them, on the scripts of test/suites/scripts.
A script in Lua prints "ok NAME" or "not ok NAME"; of the others the whole output must be
what SCRIPT.out has, which is what Linux says, and the status behind it.
"""
import difflib
import re
from pathlib import Path
from typing import List

from . import suite
from .common import TOP, say

SCRIPTS = TOP / "test" / "suites" / "scripts"
HOW = {".lua": "lua5.4 {0}", ".sql": "sqlite3 < {0}", ".sh": "sh {0}"}
LIMIT = 200  # seconds for one


def scripts(patterns: List[str]) -> List[Path]:
    return [s for s in sorted(SCRIPTS.iterdir()) if s.suffix in HOW and (not patterns or any(p in s.name for p in patterns))]


def prepare(patterns: List[str]) -> suite.Guest:
    chosen = scripts(patterns)
    script = "".join(f"echo '@@ {s.name}'; (cd /tmp; timeout {LIMIT} {HOW[s.suffix].format(f'/suite/{s.name}')}) 2>&1; "
                     f"echo \"@@ status $?\"\n" for s in chosen)
    return suite.Guest([f"{s}:/suite/{s.name}" for s in chosen], script, ["lua5.4", "sqlite3"], mem="1G", tests=2 * len(chosen))


def results(text: str) -> suite.Results:
    out: suite.Results = {}
    for name, said, status in re.findall(r"^@@ (\S+\.\w+)\n(.*?)^@@ status (\d+)$", text, re.M | re.S):
        for word, what in re.findall(r"^(ok|not ok) ([^:\n]*)", said, re.M) if name.endswith(".lua") else []:
            out[f"{name} {what}"] = "pass" if word == "ok" else "fail"
        lines = [*said.splitlines(), f"status {status}"]
        wanted = ["status 0"] if name.endswith(".lua") else (SCRIPTS / f"{name}.out").read_text().splitlines()
        good = lines[-len(wanted):] == wanted if name.endswith(".lua") else lines == wanted
        out[name] = "pass" if good else "fail"
        if not good:
            say("\n".join(difflib.unified_diff(wanted, lines, f"{name}.out", name, lineterm="")))
    return out
