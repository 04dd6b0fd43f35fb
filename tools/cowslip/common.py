"""Places, exit statuses, and telling people what goes on."""
import contextlib
import fcntl
import sys
import threading
import time
from pathlib import Path
from typing import Iterator

TOP = Path(__file__).resolve().parents[2]
BUILD = TOP / "build"

EX_USAGE = 2         # as argparse
EX_UNAVAILABLE = 69  # sysexits.h: what is needed cannot be had
EX_SOFTWARE = 70     # a kernel panic
EX_TIMEOUT = 124     # as timeout(1)


class Stop(Exception):
    """Ends the command with a message and a status."""

    def __init__(self, message: str, status: int = 1):
        super().__init__(message)
        self.status = status


def say(message: str, end: str = "\n") -> None:
    print(f"cowslip: {message}", end=end, file=sys.stderr, flush=True)


@contextlib.contextmanager
def one_at_a_time(what: str) -> Iterator[None]:
    """Nobody else, in this process or another one, does the same in this tree meanwhile."""
    BUILD.mkdir(exist_ok=True)
    with open(BUILD / f"{what}.lock", "w", encoding="ascii") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


class Progress:
    """Says that something still goes on, once it takes longer than two seconds."""

    def __init__(self, what: str):
        self.what = what
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        start = time.monotonic()
        wait = 2.0
        while not self.done.wait(wait):
            say(f"{self.what} ... {time.monotonic() - start:.0f} s")
            wait = 10.0

    def __enter__(self) -> "Progress":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.thread.join()
