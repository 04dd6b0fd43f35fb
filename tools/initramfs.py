#!/usr/bin/env python3
"""Makes build/ARCH/initramfs.cpio. Called by make."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cowslip import initramfs, packages  # noqa: E402
from cowslip.common import Stop, say  # noqa: E402


def main() -> int:
    out = Path(sys.argv[1]) / "initramfs.cpio"
    arch = Path(sys.argv[1]).name
    try:
        tree = packages.fetch(arch)
    except Stop as e:
        say(str(e))
        return e.status
    print(f"  CPIO    {out}", flush=True)
    initramfs.write_base(arch, tree, out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
