#!/usr/bin/env python3
"""The host's side of the serial line, against a QEMU that is a script: framing, credits, endings, the terminal."""
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOOLS = HERE.parents[1] / "tools"
sys.path.insert(0, str(TOOLS))

from cowslip.console import Decoder, Encoder, Escape  # noqa: E402

DRIVER = """
import sys
sys.path.insert(0, sys.argv[1])
from cowslip import qemu
qemu.PANIC_GRACE = 0.5
qemu.SLOW_BOOT = 0.5
stdio = qemu.stdio_kinds()
timeout = float(sys.argv[3])
s = qemu.Session([sys.executable, *sys.argv[4:]], stdio, timeout, False, qemu.stdin_source(), sys.argv[2] == "shell")
sys.exit(s.run())
"""


def words(*scenario, mode="cmd", timeout=20):
    return [sys.executable, "-B", "-c", DRIVER, str(TOOLS), mode, str(timeout), str(HERE / "fake_qemu.py"), *scenario]


def run(*scenario, stdin=b"", **more):
    done = subprocess.run(words(*scenario, **more), input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr.decode()


class Framing(unittest.TestCase):
    def test_decoder_splits_channels_at_any_place(self):
        stream = b"a\x101b\x10\x10c\x10Llog\x10P\x102e\x10Sx"
        for cut in range(len(stream) + 1):
            d, got = Decoder(), {}
            for channel, part in d.feed(stream[:cut]) + d.feed(stream[cut:]):
                got[channel] = got.get(channel, b"") + part
            self.assertEqual(got, {"0": b"a", "1": b"b\x10c", "L": b"log", "2": b"ex", "event": b"PS"})

    def test_encoder_selects_once_and_doubles_the_escape(self):
        e = Encoder()
        self.assertEqual(e.data("0", b"a\x10b"), b"a\x10\x10b")
        self.assertEqual(e.data("1", b"x"), b"\x101x")
        self.assertEqual(e.data("1", b"y"), b"y")
        self.assertEqual(e.data("0", b"z"), b"\x100z")
        self.assertEqual(Encoder.window(os.terminal_size((80, 24))), b"\x10W24;80\n")

    def test_escape_key(self):
        e = Escape()
        self.assertEqual(e.feed(b"a\x01"), (b"a", b""))
        self.assertEqual(e.feed(b"\x01b"), (b"\x01b", b""))
        self.assertIn(b"Ctrl-A X", e.feed(b"\x01h")[1])
        self.assertEqual(e.feed(b"c\x01xd"), (b"c", b""))
        self.assertTrue(e.leave)


class Command(unittest.TestCase):
    def test_streams_stay_apart(self):
        self.assertEqual(run("echo", stdin=b"in"), (0, b"in", "err\ntty\n"))

    def test_no_input_is_the_end_of_input(self):
        self.assertEqual(run("echo", "3")[:2], (3, b""))

    def test_every_byte_comes_through(self):
        data = os.urandom(300000) + bytes(range(256)) + b"\x10" * 5000
        self.assertEqual(run("echo", "7", stdin=data)[:2], (7, data))

    def test_no_more_input_than_credit(self):
        self.assertEqual(run("greedy", stdin=bytes(200000))[:2], (0, b"32768"))

    def test_panic(self):
        for then in ("leave", "hang"):
            status, out, err = run("panic", then)
            self.assertEqual((status, out), (70, b""))
            self.assertIn("cowslip: booting\nKERNEL PANIC: test", err)

    def test_timeout(self):
        self.assertEqual(run("hang", timeout=0.5)[0], 124)

    def test_qemu_killed(self):
        status, _, err = run("killed")
        self.assertEqual(status, 137)
        self.assertIn("QEMU was ended by signal 9", err)

    def test_qemu_that_cannot_start(self):
        status, _, err = run("early")
        self.assertEqual(status, 1)
        for text in ("a complaint", "ended before it could run", "no memory"):
            self.assertIn(text, err)

    def test_slow_boot_is_mentioned(self):
        status, _, err = run("silent", timeout=1.5)
        self.assertEqual(status, 124)
        self.assertIn("still booting", err)

    def test_reader_that_goes_away(self):
        with subprocess.Popen(words("flood"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as child:
            child.stdout.read(10000)
            child.stdout.close()
            self.assertEqual(child.wait(10), 141)

    def test_reader_that_stops_reading_does_not_stop_the_timeout(self):
        with subprocess.Popen(words("flood", timeout=1), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL) as child:
            self.assertEqual(child.wait(10), 124)

    def test_signal_ends_qemu_too(self):
        for signo in (signal.SIGTERM, signal.SIGINT):
            with subprocess.Popen(words("flood"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  start_new_session=True) as child:
                child.stdout.read(1000)
                child.send_signal(signo)
                self.assertEqual(child.wait(10), 128 + signo)
                self.assertNotIn("fake_qemu.py", children_of(child.pid))

    def test_qemu_does_not_outlive_us(self):
        with subprocess.Popen(words("hang"), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
            pid = wait_for(lambda: first_child(child.pid))
            wait_for(lambda: "fake_qemu" in command_of(pid))
            child.kill()
            self.assertTrue(wait_for(lambda: "fake_qemu" not in command_of(pid)))


def command_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode()
    except OSError:
        return ""


def first_child(pid):
    try:
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
    except (OSError, IndexError):
        return 0


def children_of(pid):
    pid = first_child(pid)
    return command_of(pid) if pid else ""


def wait_for(condition, limit=10):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    return condition()


class Shell(unittest.TestCase):
    """With a terminal."""

    def setUp(self):
        self.master, self.slave = pty.openpty()
        termios.tcsetwinsize(self.slave, (33, 99)) if hasattr(termios, "tcsetwinsize") else os.system(
            f"stty rows 33 cols 99 < {os.ttyname(self.slave)}")
        self.before = termios.tcgetattr(self.slave)
        self.child = subprocess.Popen(words("terminal", mode="shell"), stdin=self.slave, stdout=self.slave,
                                      stderr=self.slave, start_new_session=True)
        self.seen = b""
        self.expect(b"hello")

    def tearDown(self):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        os.close(self.master)
        os.close(self.slave)

    def keys(self, data):
        os.write(self.master, data)

    def expect(self, text):
        end = time.monotonic() + 10
        while text not in self.seen and time.monotonic() < end:
            if select.select([self.master], [], [], 0.2)[0]:
                self.seen += os.read(self.master, 4096)
        self.assertIn(text, self.seen)
        self.seen = self.seen[self.seen.index(text) + len(text):]

    def ends(self, status):
        self.assertEqual(self.child.wait(10), status)
        self.assertEqual(termios.tcgetattr(self.slave), self.before)

    def test_keys_go_raw_and_the_terminal_comes_back(self):
        self.keys(b"ab\x03\x1a\r")
        self.expect(b"ab\x03\x1a\r")
        self.keys(b"\x01\x01w")
        self.expect(b"\x01w<33;99>")
        self.keys(b"q")
        self.ends(0)

    def test_help_and_leave(self):
        self.keys(b"\x01h")
        self.expect(b"Ctrl-A X  leave")
        self.keys(b"\x01x")
        self.ends(0)

    def test_new_window_size(self):
        self.keys(b"w")
        self.expect(b"<33;99>")
        os.system(f"stty rows 50 cols 120 < {os.ttyname(self.slave)}")
        self.child.send_signal(signal.SIGWINCH)
        time.sleep(0.2)
        self.keys(b"w")
        self.expect(b"<50;120>")
        self.keys(b"q")
        self.ends(0)

    def test_signal_restores_the_terminal(self):
        self.keys(b"a")
        self.expect(b"a")
        self.child.send_signal(signal.SIGTERM)
        self.ends(143)


if __name__ == "__main__":
    unittest.main()
