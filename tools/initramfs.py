#!/usr/bin/env python3
"""Makes build/ARCH/initramfs.cpio anew if anything in it has changed. Called by make."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cowslip import initramfs, packages  # noqa: E402
from cowslip.common import TOP, Stop, say  # noqa: E402


def main() -> int:
    out = Path(sys.argv[1]) / "initramfs.cpio"
    arch = Path(sys.argv[1]).name
    try:
        tree = packages.fetch(arch)
    except Stop as e:
        say(str(e))
        return e.status
    sources = [Path(sys.argv[1]) / "user" / "init", tree, *tree.glob(".*"), *(TOP / "user" / "etc").iterdir(),
               *(TOP / "tools" / "cowslip").glob("*.py")]
    if out.exists() and all(s.stat().st_mtime <= out.stat().st_mtime for s in sources):
        return 0
    print(f"  CPIO    {out}", flush=True)
    initramfs.write_base(arch, tree, out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
