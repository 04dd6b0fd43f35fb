"""
Speaks the serial line's framing as the guest does, for the tests of the host's side: fake_qemu.py SCENARIO.
What it reads and writes is unbuffered, as QEMU's is.
"""
import os
import signal
import sys
import time

DLE = b"\x10"


def send(*parts):
    data = b"".join(parts)
    while data:
        data = data[os.write(1, data):]


def framed(channel, data):
    return DLE + channel + data.replace(DLE, DLE + DLE)


def boot():
    send(b"\r\nOpenSBI v0\r\n", framed(b"L", b"cowslip: booting\n"), DLE + b"0", DLE + b"S")


class Input:
    """Takes the frames apart; bytes of stdin earn credits when they are taken."""

    def __init__(self, credits=True):
        self.credits, self.taken, self.told = credits, 0, 0
        self.channel, self.window, self.end = b"0", None, False
        self.pending = b""

    def read(self):
        """(bytes of the terminal, bytes of stdin) of one read."""
        data, out = self.pending + os.read(0, 65536), {b"0": b"", b"1": b""}
        self.pending, at = b"", 0
        while at < len(data):
            byte = data[at:at + 1]
            if byte != DLE:
                out[self.channel] += byte
                at += 1
                continue
            control = data[at + 1:at + 2]
            length = 2
            if control == b"W":
                newline = data.find(b"\n", at)
                if newline < 0:
                    control = b""
                else:
                    self.window, length = data[at + 2:newline], newline + 1 - at
            if control == b"":
                self.pending = data[at:]
                break
            if control == DLE:
                out[self.channel] += DLE
            elif control in (b"0", b"1"):
                self.channel = control
            elif control == b"E":
                self.end = True
            at += length
        self.taken += len(out[b"1"])
        while self.credits and self.taken - self.told >= 4096:
            self.told += 4096
            send(DLE + b"R")
        return out[b"0"], out[b"1"]


def echo(status="0"):
    """Standard input to standard output, a word on the other channels."""
    boot()
    send(framed(b"2", b"err\n"), framed(b"0", b"tty\n"))
    line = Input()
    while not line.end:
        send(framed(b"1", line.read()[1]))
    sys.exit(int(status))


def greedy():
    """Takes everything that comes without credit: how much was that?"""
    boot()
    line = Input(credits=False)
    os.set_blocking(0, False)
    end = time.monotonic() + 1
    while time.monotonic() < end:
        try:
            line.read()
        except BlockingIOError:
            time.sleep(0.01)
    send(framed(b"1", b"%d" % line.taken))


def terminal():
    """Echoes keys until q; says the window's size at every w."""
    boot()
    send(framed(b"0", b"hello"))
    line = Input()
    while True:
        keys, _ = line.read()
        send(framed(b"0", keys))
        if b"w" in keys:
            send(framed(b"0", b"<" + (line.window or b"none") + b">"))
        if b"q" in keys:
            return


def panic(then="leave"):
    boot()
    send(DLE + b"P", framed(b"L", b"KERNEL PANIC: test\n"))
    if then == "hang":
        time.sleep(60)
    sys.exit(70)


def hang():
    boot()
    time.sleep(60)


def silent():
    time.sleep(60)


def flood():
    boot()
    send(DLE + b"1")
    while True:
        send(b"flood\n" * 1000)


def killed():
    boot()
    os.kill(os.getpid(), signal.SIGKILL)


def early():
    send(b"OpenSBI\r\n", framed(b"L", b"no memory\n"))
    os.write(2, b"qemu: a complaint\n")
    sys.exit(1)


globals()[sys.argv[1]](*sys.argv[2:])
