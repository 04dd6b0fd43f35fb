"""Starts QEMU and carries bytes between it, the terminal, pipes and files."""
import ctypes
import errno
import os
import select
import shlex
import signal
import subprocess
import sys
import termios
import time
import tty
from pathlib import Path
from typing import List, Optional

from . import machines
from .common import EX_SOFTWARE, EX_TIMEOUT, EX_UNAVAILABLE, Stop, say
from .console import CREDIT, CREDITS, Decoder, Encoder, Escape, Log

PR_SET_PDEATHSIG = 1
PIECE = 4096         # PIPE_BUF: a pipe that select calls writable takes that much without blocking
SLOW_BOOT = 20.0     # seconds without a program: a word about it
PANIC_GRACE = 10.0   # seconds for a panic to print itself and end the machine
ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)


def die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setpgrp()  # Ctrl-C at the terminal is the guest's, or ours: not QEMU's


def command_line(arch: str, kernel: Path, initrd: Path, args, status_file: Path) -> List[str]:
    # With a host thread for each CPU, QEMU 7.2 has been seen to lose a guest's stores while another hart starts, also with
    # that hart parked in its first instruction; with one thread for all it has not (docs/testing.md).
    words = [os.environ.get("COWSLIP_QEMU", machines.qemu(arch)), "-accel",
             f"tcg,thread={os.environ.get('COWSLIP_TCG_THREAD', 'single')}", *machines.model_words(arch, args.machine),
             *machines.status_words(arch, status_file), "-smp", str(args.cpus), "-m", args.mem,
             "-display", "none", "-serial", "stdio", "-monitor", "none", "-kernel", str(kernel), "-initrd", str(initrd),
             "-append", " ".join(["console=framed", *args.append])]
    if args.icount:
        words += ["-icount", "shift=0,sleep=off"]
    if not args.icount:  # random numbers of the host's would make counts differ
        words += machines.virtio_words(args.machine, args.virtio, args.disk)
    words += shlex.split(os.environ.get("COWSLIP_QEMU_MORE", ""))
    if args.cmd is not None:
        words += ["-no-reboot"]
    if args.gdb:
        words += ["-s", "-S"]
    return words


class Terminal:
    """The person's terminal in raw mode, as it was afterwards. A descriptor that is no terminal is left alone."""

    def __init__(self, fd: int):
        self.fd = fd
        self.saved: Optional[list] = None

    def __enter__(self) -> "Terminal":
        if is_tty(self.fd):
            self.saved = termios.tcgetattr(self.fd)
            tty.setraw(self.fd)
        return self

    def __exit__(self, *_: object) -> None:
        if self.saved is not None:
            termios.tcsetattr(self.fd, termios.TCSADRAIN, self.saved)
            self.saved = None


class Session:
    """One run of QEMU."""

    def __init__(self, words: List[str], stdio: str, timeout: Optional[float], verbose: bool, stdin: Optional[int],
                 interactive: bool = False, slow: bool = False, status_file: Optional[Path] = None):
        self.words, self.stdio, self.verbose, self.interactive = words, stdio, verbose, interactive
        self.decoder, self.encoder, self.escape, self.log = Decoder(), Encoder(), Escape(), Log()
        self.terminal = Terminal(0 if stdio[0] == "t" else -1)
        self.input = stdin            # where input comes from; None: there is none (any more)
        self.credits = CREDITS * CREDIT
        self.to_guest = bytearray()
        self.qemu_errors = b""
        self.start = time.monotonic()
        self.deadline = self.start + timeout if timeout else None
        self.slow_at: Optional[float] = None if slow else self.start + SLOW_BOOT
        self.panic_end: Optional[float] = None
        self.ready = False            # the boot is over; only then does the guest listen
        self.timed_out = self.out_closed = False
        self.stopped = 0              # the signal that ended us
        self.status_file = status_file  # where the guest's status is, if QEMU's own does not tell

    # ---- what the guest sends ----

    def received(self, data: bytes) -> None:
        for channel, part in self.decoder.feed(data):
            if channel == "event":
                self.event(part)
            elif channel == "L" or (channel == "0" and not self.ready):  # the firmware speaks on channel 0
                self.log.add(part)
                if self.verbose:
                    self.write(2, part.replace(b"\n", b"\r\n") if channel == "L" and self.terminal.saved else part)
            else:
                self.write(2 if channel == "2" or (channel == "0" and self.stdio[1] != "t") else 1, part)

    def write(self, fd: int, data: bytes) -> None:
        """All of it, but no reader that has stopped reading holds up the end."""
        while data and not self.over():
            _, writable, _ = select.select([], [fd], [], 0.5)
            if not writable:
                continue
            try:
                data = data[os.write(fd, data[:PIECE]):]
            except BlockingIOError:
                continue
            except OSError as e:  # nobody reads any more; the disk is full
                self.out_closed = True
                if e.errno != errno.EPIPE:
                    self.tell(f"output: {e.strerror}")

    def tell(self, message: str) -> None:
        say(message, "\r\n" if self.terminal.saved else "\n")

    def event(self, letter: bytes) -> None:
        if letter == b"P":
            self.panic_end = time.monotonic() + PANIC_GRACE
        elif letter == b"S":
            self.ready = True
            if "t" in self.stdio:
                self.send_window()
            if self.input is None and self.stdio[0] == "p":
                self.to_guest += Encoder.end_of_input()
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
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.input = None
            if channel == "1":
                self.to_guest += Encoder.end_of_input()
        elif channel == "1":
            self.credits -= len(data)
            self.to_guest += self.encoder.data(channel, data)
        else:
            data, show = self.escape.feed(data)
            self.write(1, show)
            self.to_guest += self.encoder.data(channel, data)

    def send_window(self, *_: object) -> None:
        for fd in (0, 1, 2) if self.ready else ():
            try:
                self.to_guest += Encoder.window(os.get_terminal_size(fd))
                return
            except OSError:
                continue

    def send(self, guest: int) -> None:
        try:
            n = os.write(guest, bytes(self.to_guest[:PIECE]))
            del self.to_guest[:n]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self.to_guest.clear()

    # ---- the loop ----

    def run(self) -> int:
        try:
            qemu = subprocess.Popen(self.words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                    preexec_fn=die_with_parent, bufsize=0)
        except OSError as e:
            raise Stop(f"{self.words[0]}: {e.strerror}", EX_UNAVAILABLE) from e
        try:
            for f in (qemu.stdin, qemu.stdout, qemu.stderr):
                os.set_blocking(f.fileno(), False)
            for s in ENDING:
                signal.signal(s, self.on_signal)
            signal.signal(signal.SIGWINCH, self.send_window)
            with self.terminal:
                self.pump(qemu)
        finally:
            if qemu.poll() is None:
                qemu.kill()
            qemu.wait()
        return self.status(self.guest_status(qemu.returncode))

    def on_signal(self, signo: int, _: object) -> None:
        self.stopped = signo

    def over(self) -> bool:
        """It ends from our side."""
        now = time.monotonic()
        if self.deadline and now >= self.deadline:
            self.timed_out = True
        if self.slow_at and now >= self.slow_at and not self.ready:
            self.slow_at = None
            self.tell(f"still booting after {SLOW_BOOT:.0f} s (-v shows the boot log; "
                      f"{'Ctrl-A X' if self.terminal.saved else 'Ctrl-C'} ends it)")
        return bool(self.escape.leave or self.stopped or self.out_closed or self.timed_out or
                    (self.panic_end and now >= self.panic_end))

    def pump(self, qemu: subprocess.Popen) -> None:
        out, err, guest = qemu.stdout.fileno(), qemu.stderr.fileno(), qemu.stdin.fileno()
        open_outputs = {out, err}
        while open_outputs and not self.over():
            keys = [self.input] if self.wants_input() or (self.terminal.saved and not self.ready) else []
            left = min(1.0, max(0.0, self.deadline - time.monotonic())) if self.deadline else 1.0
            sends = [guest] if self.to_guest and self.ready and out in open_outputs else []
            readable, writable, _ = select.select([*open_outputs, *keys], sends, [], left)
            for fd in readable:
                if fd not in open_outputs:
                    self.read_input()
                    continue
                data = os.read(fd, 65536)
                if not data:
                    open_outputs.discard(fd)
                elif fd == err:
                    self.qemu_errors += data
                else:
                    self.received(data)
                    if len(data) < 2048:
                        time.sleep(0.0005)  # QEMU writes byte by byte: let some gather
            if writable:
                self.send(guest)

    # ---- the end ----

    def guest_status(self, ended: int) -> int:
        """A guest that ends without a word about its status has been reset."""
        if self.status_file is None or ended < 0:
            return ended
        said = self.status_file.read_bytes() if self.status_file.exists() else b""
        if said:
            return said[-1]
        if ended or not self.ready or self.timed_out or self.stopped or self.escape.leave:
            return ended
        self.tell("the machine was reset")
        return EX_SOFTWARE

    def status(self, ended: int) -> int:
        """What the command's exit status is; ended: QEMU's, negative for a signal. Says why if the guest did not."""
        if self.panic_end:
            say("the kernel panicked; its log:")
            self.show_log()
            return EX_SOFTWARE
        if self.stopped:
            return 128 + self.stopped
        if self.timed_out:
            say("timed out")
            self.show_log()
            return EX_TIMEOUT
        if self.escape.leave:
            return 0 if self.interactive else 128 + signal.SIGINT
        if self.out_closed:
            return 128 + signal.SIGPIPE
        if self.qemu_errors and (ended or self.verbose):
            sys.stderr.write(self.qemu_errors.decode(errors="replace"))
        if ended < 0:
            say(f"QEMU was ended by signal {-ended} ({signal.Signals(-ended).name})")
            return 128 - ended
        if not self.ready:
            say("the guest ended before it could run anything; its log:")
            self.show_log()
            return ended or EX_SOFTWARE
        return ended

    def show_log(self) -> None:
        if not self.verbose:
            sys.stderr.write(self.log.show())
            sys.stderr.flush()


def stdin_source() -> Optional[int]:
    """Standard input, unless it was closed."""
    try:
        os.fstat(0)
    except OSError:
        return None
    return 0


def stdio_kinds() -> str:
    """For each of the guest's descriptors: t the terminal, p a pipe to ours. A shell whose input is no terminal obeys it."""
    return "".join("t" if is_tty(fd) else "p" for fd in (0, 1, 2))


def is_tty(fd: int) -> bool:
    try:
        return os.isatty(fd)
    except OSError:
        return False
