#!/usr/bin/env python3
"""Reads `nm -n KERNEL` from standard input and writes the symbol table of kernel/lib/ksyms.c as assembly."""
import sys


def main() -> None:
    symbols = []
    for line in sys.stdin:
        address, kind, name = line.split(maxsplit=2)
        name = name.strip()
        if kind in "tT" and not name.startswith((".", "$")):
            symbols.append((int(address, 16), name))
        elif name == "_text_end":
            symbols.append((int(address, 16), name))
    symbols = sorted(dict(reversed(symbols)).items())
    base = symbols[0][0]
    names, starts, at = [], [], 0
    for _, name in symbols:
        starts.append(at)
        names.append(name)
        at += len(name) + 1
    print('.section .ksyms, "a"\n.balign 8\n.globl ksyms_base, ksyms_count, ksyms_offset, ksyms_name_at, ksyms_names')
    print(f"ksyms_base: .quad {base:#x}\nksyms_count: .long {len(symbols)}\nksyms_offset:")
    for address, _ in symbols:
        print(f".long {address - base}")
    print("ksyms_name_at:")
    for start in starts:
        print(f".long {start}")
    print("ksyms_names:")
    for name in names:
        print(f'.asciz "{name}"')


if __name__ == "__main__":
    main()
