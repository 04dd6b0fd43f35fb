"""Starts QEMU and carries bytes between it, the terminal, pipes and files."""
import ctypes
import errno
import os
import select
import shutil
import signal
import stat
import subprocess
import sys
import termios
import time
import tty
from pathlib import Path
from typing import List, Optional

from .common import EX_SOFTWARE, EX_TIMEOUT, Stop, say
from .console import CREDIT, CREDITS, Decoder, Encoder, Escape, Log

PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setpgrp()  # Ctrl-C at the terminal is the guest's, or ours: not QEMU's


def command_line(arch: str, kernel: Path, initrd: Path, args) -> List[str]:
    # With a host thread for each CPU, QEMU 7.2 has been seen to lose a guest's stores while another hart starts, also with
    # that hart parked in its first instruction; with one thread for all it has not (docs/testing.md).
    words = [os.environ.get("COWSLIP_QEMU", f"qemu-system-{arch}"), "-accel",
             f"tcg,thread={os.environ.get('COWSLIP_TCG_THREAD', 'single')}", "-M", "virt", "-smp", str(args.cpus), "-m", args.mem,
             "-display", "none", "-serial", "stdio", "-monitor", "none", "-kernel", str(kernel), "-initrd", str(initrd),
             "-append", " ".join(["console=framed", *args.append])]
    if args.icount:
        words += ["-icount", "shift=0,sleep=off"]
    if args.cmd is not None:
        words += ["-no-reboot"]
    if args.gdb:
        words += ["-s", "-S"]
    return words


def write_all(fd: int, data: bytes) -> None:
    while data:
        try:
            n = os.write(fd, data)
        except BlockingIOError:
            select.select([], [fd], [])
            continue
        data = data[n:]


class Terminal:
    """The person's terminal in raw mode, as it was afterwards."""

    def __init__(self, fd: int):
        self.fd = fd
        self.saved: Optional[list] = None

    def __enter__(self) -> "Terminal":
        if os.isatty(self.fd):
            self.saved = termios.tcgetattr(self.fd)
            tty.setraw(self.fd)
        return self

    def __exit__(self, *_: object) -> None:
        if self.saved is not None:
            termios.tcsetattr(self.fd, termios.TCSADRAIN, self.saved)


class Session:
    """One run of QEMU."""

    def __init__(self, words: List[str], stdio: str, timeout: Optional[float], verbose: bool, stdin: Optional[int]):
        self.words, self.stdio, self.verbose = words, stdio, verbose
        self.deadline = time.monotonic() + timeout if timeout else None
        self.decoder, self.encoder, self.escape, self.log = Decoder(), Encoder(), Escape(), Log()
        self.input = stdin            # where input comes from; None: there is none (any more)
        self.credits = CREDITS * CREDIT
        self.panicked = self.ready = self.timed_out = False
        self.to_guest = bytearray()
        self.early = b""              # what comes before the kernel speaks: the firmware's words
        self.stopped = 0
        self.out_closed = False

    # ---- what the guest sends ----

    def received(self, data: bytes) -> None:
        for channel, part in self.decoder.feed(data):
            if channel == "event":
                self.event(part)
            elif channel == "L":
                self.log.add(part)
                if self.verbose:
                    write_all(2, part.replace(b"\n", b"\r\n") if "t" in self.stdio else part)
            elif channel == "0" and not self.ready and b"\x1b" not in part and self.is_firmware(part):
                self.log.add(part)
                if self.verbose:
                    write_all(2, part)
            else:
                self.output(channel, part)

    def is_firmware(self, _: bytes) -> bool:
        return not self.ready

    def output(self, channel: str, part: bytes) -> None:
        fd = 2 if channel == "2" or (channel == "0" and self.stdio[1] != "t") else 1
        try:
            write_all(fd, part)
        except BrokenPipeError:
            self.out_closed = True

    def event(self, letter: bytes) -> None:
        if letter == b"P":
            self.panicked = True
        elif letter == b"S":
            self.ready = True  # nothing is sent before: the guest would not listen yet
            if "t" in self.stdio:
                self.send_window()
        elif letter == b"R":
            self.credits += CREDIT

    # ---- what goes to the guest ----

    def wants_input(self) -> bool:
        return self.input is not None and self.ready and len(self.to_guest) < 65536 and (
            self.stdio[0] == "t" or self.credits > 0)

    def read_input(self) -> None:
        channel = "0" if self.stdio[0] == "t" else "1"
        try:
            data = os.read(self.input, 4096 if channel == "0" else min(16384, self.credits))
        except OSError:
            data = b""
        if not data:
            self.input = None
            if channel == "1":
                self.to_guest += Encoder.end_of_input()
            return
        if channel == "0":
            data, show = self.escape.feed(data)
            write_all(1, show)
        else:
            self.credits -= len(data)
        self.to_guest += self.encoder.data(channel, data)

    def send_window(self, *_: object) -> None:
        if not self.ready:
            return
        for fd in (0, 1, 2):
            try:
                self.to_guest += Encoder.window(os.get_terminal_size(fd))
                return
            except OSError:
                continue

    # ---- the loop ----

    def run(self) -> int:
        if self.input is None and self.stdio[0] == "p":
            self.to_guest += Encoder.end_of_input()
        try:
            qemu = subprocess.Popen(self.words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                    preexec_fn=die_with_parent, bufsize=0)
        except FileNotFoundError as e:
            raise Stop(f"{e.filename} is not here", 69) from e
        for f in (qemu.stdin, qemu.stdout, qemu.stderr):
            os.set_blocking(f.fileno(), False)
        for s in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(s, self.on_signal)
        with Terminal(0 if self.stdio[0] == "t" else -1) if self.stdio[0] == "t" else open(os.devnull, "rb"):
            if "t" in self.stdio:
                signal.signal(signal.SIGWINCH, self.send_window)
            try:
                self.pump(qemu)
            finally:
                if qemu.poll() is None:
                    qemu.kill()
                qemu.wait()
        return self.status(qemu)

    def on_signal(self, signo: int, _: object) -> None:
        self.stopped = signo

    def pump(self, qemu: subprocess.Popen) -> None:
        out, err, guest = qemu.stdout.fileno(), qemu.stderr.fileno(), qemu.stdin.fileno()
        self.qemu_errors = b""
        open_outputs = {out, err}
        while open_outputs and not self.escape.leave and not self.stopped and not self.out_closed:
            reads = list(open_outputs) + ([self.input] if self.wants_input() else [])
            writes = [guest] if self.to_guest and out in open_outputs else []
            left = max(0.0, self.deadline - time.monotonic()) if self.deadline else 1.0
            if self.deadline and left == 0.0:
                self.timed_out = True
                return
            try:
                readable, writable, _ = select.select(reads, writes, [], min(left, 1.0))
            except InterruptedError:
                continue
            for fd in readable:
                if fd == self.input and fd not in open_outputs:
                    self.read_input()
                    continue
                data = os.read(fd, 65536)
                if not data:
                    open_outputs.discard(fd)
                elif fd == out:
                    self.received(data)
                    if len(data) < 2048:
                        time.sleep(0.0005)  # QEMU writes byte by byte: let some gather
                else:
                    self.qemu_errors += data
            if writable:
                try:
                    n = os.write(guest, bytes(self.to_guest[:4096]))
                    del self.to_guest[:n]
                except OSError as e:
                    if e.errno == errno.EPIPE:
                        self.to_guest.clear()
                    elif e.errno != errno.EAGAIN:
                        raise

    def status(self, qemu: subprocess.Popen) -> int:
        if self.stopped:
            return 128 + self.stopped
        if self.timed_out:
            say("timed out")
            self.show_log()
            return EX_TIMEOUT
        if self.escape.leave:
            return 0
        if self.panicked:
            say("the kernel panicked; its log:")
            self.show_log()
            return EX_SOFTWARE
        if self.out_closed:
            return 128 + signal.SIGPIPE
        if qemu.returncode and self.qemu_errors:
            sys.stderr.write(self.qemu_errors.decode(errors="replace"))
        if not self.ready:
            say("the guest ended before it could run anything; its log:")
            self.show_log()
            return qemu.returncode if qemu.returncode > 0 else EX_SOFTWARE
        return qemu.returncode if qemu.returncode >= 0 else 128 - qemu.returncode

    def show_log(self) -> None:
        if not self.verbose:
            sys.stderr.write(self.log.show())
            sys.stderr.flush()


def stdin_source() -> Optional[int]:
    """0 if standard input has something to give: a terminal, a pipe, a file; else None."""
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return None
    return 0 if os.isatty(0) or stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode) else None


def stdio_kinds(interactive: bool) -> str:
    """For each of the guest's descriptors: t the terminal, p a pipe to ours."""
    if interactive:
        return "ttt"
    return "".join("t" if is_tty(fd) else "p" for fd in (0, 1, 2))


def is_tty(fd: int) -> bool:
    try:
        return os.isatty(fd)
    except OSError:
        return False


def have_qemu(arch: str) -> bool:
    return shutil.which(f"qemu-system-{arch}") is not None
