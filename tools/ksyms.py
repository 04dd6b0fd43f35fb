#!/usr/bin/env python3
"""Reads `nm -n KERNEL` from standard input and writes the symbol table of kernel/lib/ksyms.c as assembly.

The table lies behind the code, in read-only data, so that linking it in moves no function: two links are enough.
Offsets count from the first symbol of the code; the last entry is the code's end and names nothing.
"""
import sys

KINDS = "tTwW"  # functions, local and global, also weak ones
END = "_text_end"


def read_symbols(lines) -> tuple[dict[int, str], int]:
    """Names by address (of several at one address the first global one), and where the code ends."""
    symbols: dict[int, tuple[bool, str]] = {}
    end = 0
    for line in lines:
        fields = line.split()
        if len(fields) != 3:  # undefined symbols have no address
            continue
        address, kind, name = int(fields[0], 16), fields[1], fields[2]
        if name == END:
            end = address
        elif kind in KINDS and not name.startswith((".", "$")):
            worse = symbols.get(address, (False, ""))
            if not worse[1] or (kind.isupper() and not worse[0]):
                symbols[address] = (kind.isupper(), name)
    return {address: name for address, (_, name) in symbols.items()}, end


def main() -> None:
    names, end = read_symbols(sys.stdin)
    addresses = sorted(a for a in names if a < end)
    if not addresses:
        sys.exit(f"ksyms.py: no functions before {END} in what nm says")
    base = addresses[0]
    print("# Made by tools/ksyms.py.")
    print('.section .ksyms, "a"\n.balign 8\n.globl ksyms_base, ksyms_count, ksyms_offset, ksyms_name_at, ksyms_names')
    print(f"ksyms_base: .quad {base:#x}\nksyms_count: .long {len(addresses) + 1}\nksyms_offset:")
    for address in [*addresses, end]:
        print(f".long {address - base}")
    print("ksyms_name_at:")
    at = 0
    for address in addresses:
        print(f".long {at}")
        at += len(names[address].encode()) + 1
    print(f".long {at}\nksyms_names:")
    for address in addresses:
        print(f'.asciz "{names[address]}"')
    print('.asciz ""')


if __name__ == "__main__":
    main()
