"""
The serial line between QEMU and people: framing in both directions.

Byte 0x10 (DLE) escapes. From the guest: DLE and a channel letter selects what
the following bytes are (0 terminal, 1 stdout, 2 stderr, L kernel log), DLE P
the kernel panicked, DLE R 4 KiB of stdin were consumed, DLE S the boot is over,
DLE DLE a literal one. To the guest: DLE 0 / 1 select terminal or stdin, DLE E
ends stdin, DLE W "ROWS;COLUMNS\\n" is the window's size.
"""
import os
import re
from typing import Dict, List, Tuple

DLE = 0x10
CREDIT = 4096
CREDITS = 8  # blocks of stdin that may be on their way


class Decoder:
    """Splits what the guest sends into (channel, bytes) and events."""

    def __init__(self) -> None:
        self.channel = "0"
        self.escaped = False

    def feed(self, data: bytes) -> List[Tuple[str, bytes]]:
        """Pairs of a channel letter and its bytes; an event has "event" and its letter."""
        out: List[Tuple[str, bytes]] = []
        at = 0
        while at < len(data):
            if self.escaped:
                self.escaped = False
                self._control(data[at], out)
                at += 1
                continue
            end = data.find(DLE, at)
            end = len(data) if end < 0 else end
            if end > at:
                out.append((self.channel, data[at:end]))
            if end < len(data):
                self.escaped = True
            at = end + 1
        return out

    def _control(self, byte: int, out: List[Tuple[str, bytes]]) -> None:
        if byte == DLE:
            out.append((self.channel, bytes([DLE])))
        elif chr(byte) in "012L":
            self.channel = chr(byte)
        else:
            out.append(("event", bytes([byte])))


class Encoder:
    """What goes to the guest."""

    def __init__(self) -> None:
        self.channel = "0"

    def data(self, channel: str, data: bytes) -> bytes:
        head = b"" if channel == self.channel else bytes([DLE, ord(channel)])
        self.channel = channel
        return head + data.replace(bytes([DLE]), bytes([DLE, DLE]))

    @staticmethod
    def end_of_input() -> bytes:
        return bytes([DLE]) + b"E"

    @staticmethod
    def window(size: os.terminal_size) -> bytes:
        return bytes([DLE]) + b"W%d;%d\n" % (size.lines, size.columns)


class Log:
    """The kernel's log: kept, to be shown when it is needed."""

    def __init__(self) -> None:
        self.text = b""

    def add(self, data: bytes) -> None:
        self.text = (self.text + data)[-(1 << 20):]

    def show(self) -> str:
        return re.sub(r"[^\n\t -~]", "?", self.text.decode("utf-8", "replace"))


class Escape:
    """Ctrl-A X at the keyboard leaves; Ctrl-A Ctrl-A is a Ctrl-A."""

    HELP = b"\r\nCtrl-A X  leave\r\nCtrl-A H  this help\r\nCtrl-A Ctrl-A  send Ctrl-A\r\n"

    def __init__(self) -> None:
        self.pending = False
        self.leave = False

    def feed(self, data: bytes) -> Tuple[bytes, bytes]:
        """(what the guest gets, what the person sees)"""
        out, show = bytearray(), b""
        for byte in data:
            if not self.pending:
                if byte == 1:
                    self.pending = True
                else:
                    out.append(byte)
                continue
            self.pending = False
            if byte in b"xX":
                self.leave = True
                break
            if byte in b"hH?":
                show += self.HELP
            elif byte == 1:
                out.append(1)
        return bytes(out), show


def environment() -> Dict[str, str]:
    """What of this process's environment programs in the guest should know."""
    return {k: os.environ[k] for k in ("TERM",) if os.environ.get(k)}
