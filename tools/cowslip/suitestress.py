"""
stress-ng of Debian 13, whose stressors about processes, memory and threads run one
after another with --verify. After each, memory that is free must be what it was before.
By hand: with 30 seconds for each it takes a quarter of an hour on each kernel.
"""
import re
from typing import List

from . import suite

STRESSORS = ["fork", "vfork", "clone", "exec", "zombie", "mmap", "mmapfork", "mremap", "madvise", "vm", "vm-splice", "brk", "bigheap",
             "stack", "pthread", "futex", "pipe", "signal", "switch", "shm", "sem", "memfd", "fault", "malloc"]
SECONDS = 30
# What may be missing from MemFree, KiB. Each of four CPUs keeps up to 64 free pages (1 MiB in all) and pieces of slabs;
# Linux keeps more, and files that have been read.
SLACK = 2048
SLACK_LINUX = 16384

SCRIPT = """free() {{ awk '$1 == "MemFree:" {{ print $2 }}' /proc/meminfo; }}
[ -d /proc/sys/vm ] && echo 0 > /proc/sys/vm/overcommit_memory 2>/dev/null
stress-ng --fork 4 --timeout 1 --temp-path /tmp >/dev/null 2>&1
for s in {stressors}; do
    sleep 1
    before=$(free)
    command="timeout -s KILL {limit} stress-ng --$s 4 --timeout {seconds} --verify --metrics --oomable --temp-path /tmp"
    [ $s = exec ] && command="su -s /bin/sh nobody -c '$command'" # which must not be root
    eval "$command" >/tmp/out 2>&1 </dev/null
    status=$?
    grep -q 'skipped: [1-9]' /tmp/out && status=3
    ops=$(awk -v s=$s '$2 == "metrc:" && $4 == s {{ print $5; exit }}' /tmp/out)
    grep -E 'fail:|error:|skipp|unimpl' /tmp/out | grep -v -e 'skipped: 0' -e 'no CPUs found' | head -5
    rm -rf /tmp/out /tmp/tmp-stress-ng*
    for i in 1 2 3 4 5 6 7 8 9 10; do
        sleep 1
        after=$(free)
        [ $((before - after)) -le {slack} ] && break
    done
    echo "@@ $s status $status ops ${{ops:-0}} before $before after $after"
done
if [ -e /proc/sys/vm/check ]; then
    echo 1 > /proc/sys/vm/check && echo '@@ recount done'
fi
"""
LINE = r"^@@ (\S+) status (\d+) ops (\d+) before (\d+) after (\d+)$"
STATUS = {"0": "pass", "3": "unsupported", "4": "unsupported"}  # stress-ng(1), EXIT STATUS


def prepare(patterns: List[str]) -> suite.Guest:
    chosen = [s for s in STRESSORS if not patterns or any(p in s for p in patterns)]
    script = SCRIPT.format(stressors=" ".join(chosen), seconds=SECONDS, limit=SECONDS * 4, slack=SLACK)
    return suite.Guest([], script, ["stress-ng"], mem="2G", cpus=4, limit=len(chosen) * (SECONDS + 60), tests=len(chosen))


def results(text: str) -> suite.Results:
    """A pass for what ran, one for memory that came back, and one if the kernel has recounted its references and lives."""
    slack = SLACK if "@@ recount" in text else SLACK_LINUX
    out = {}
    for name, status, _, before, after in re.findall(LINE, text, re.M):
        out[f"{name} runs"] = STATUS.get(status, "fail")
        out[f"{name} gives memory back"] = "pass" if int(before) - int(after) <= slack else "fail"
    if "@@ recount done" in text:
        out["recount of all references"] = "pass"
    return out


def table(text: str) -> str:
    rows = [f"{'stressor':14} {'bogo ops':>10}  {'result':12} {'MemFree before, after, less':>30} KiB"]
    for name, status, ops, before, after in re.findall(LINE, text, re.M):
        result = STATUS.get(status, f"status {status}")
        rows.append(f"{name:14} {ops:>10}  {result:12} {before:>10} {after:>9} {int(before) - int(after):>9}")
    return "\n".join(rows)
