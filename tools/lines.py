#!/usr/bin/env python3
"""`make lines`: how many lines the kernel has that know no machine, and how many each machine brings."""
import re
import sys
from pathlib import Path
from typing import Dict, NamedTuple

TOP = Path(__file__).resolve().parent.parent
SOURCES = {".c", ".h", ".S", ".ld", ".mk", ".cfg"}


class Row(NamedTuple):
    files: int
    lines: int
    code: int  # lines that are neither empty nor comment


def code_lines(text: str) -> int:
    text = re.sub(r"/\*.*?\*/", lambda c: re.sub(r"[^\n]", " ", c.group()), text, flags=re.S)
    return sum(1 for line in text.splitlines() if line.strip() and not line.lstrip().startswith(("//", "# ")))


def room(file: Path) -> str:
    """Where a file of kernel/ belongs: a machine, or a part of what knows none."""
    if file.parts[0] == "arch" and len(file.parts) > 2:
        return file.parts[1]
    return f"portable/{file.parts[0]}"


def count(top: Path = TOP / "kernel") -> Dict[str, Row]:
    """The rooms, and in the end all that is portable."""
    out: Dict[str, Row] = {}
    for file in sorted(f for f in top.rglob("*") if f.suffix in SOURCES):
        text = file.read_text()
        files, lines, code = out.get(room(file.relative_to(top)), Row(0, 0, 0))
        out[room(file.relative_to(top))] = Row(files + 1, lines + len(text.splitlines()), code + code_lines(text))
    out["portable"] = Row(*map(sum, zip(*(row for name, row in out.items() if name.startswith("portable/")))))
    return out


def main() -> int:
    rows = count()
    print(f"{'kernel/':20} {'files':>6} {'lines':>7} {'code':>7}")
    for name in sorted(rows, key=lambda n: (n.startswith("portable/"), n)):
        print(f"{name:20} {rows[name].files:6} {rows[name].lines:7} {rows[name].code:7}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
