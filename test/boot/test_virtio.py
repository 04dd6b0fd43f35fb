"""Disks and random numbers by virtio devices, in memory and on PCI: what the guest says is compared with the host's file."""
import json
import os
import re
import shlex
import subprocess
import sys
import zlib

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from guest import ARCH, TOP, check, run  # noqa: E402

PROGRAM = f"build/{ARCH}/boot/disk"
PLACES = {"riscv64": [(), ("--virtio", "pci")], "x86_64": [(), ("--machine", "microvm")]}[ARCH]
MEMORY = {"riscv64": (), "x86_64": ("--machine", "microvm")}[ARCH]  # where devices are in memory
PCI = {"riscv64": ("--virtio", "pci"), "x86_64": ()}[ARCH]
everywhere = pytest.mark.parametrize("place", PLACES)
SIZE = 3 * 1024 * 1024 + 5 * 512


def make(folder, name="disk", size=SIZE, data=None):
    file = folder / name
    file.write_bytes(os.urandom(size) if data is None else data)
    return file


def disk(words, place, *more, limit=100):
    """The program `disk` in the guest: what it prints behind "ok"."""
    status, out, err = run("/bin/disk", *words, options=["--add", f"{PROGRAM}:/bin/disk", *place, *more], limit=limit)
    assert status == 0 and out.startswith(b"ok"), (status, out, err[-4000:])
    return out.decode()[2:].strip()


def more(*words):
    """For QEMU's command line (tools/cowslip/qemu.py)."""
    return {"COWSLIP_QEMU_MORE": " ".join(shlex.quote(w) for w in words)}


def crc(file):
    return f"{zlib.crc32(file.read_bytes()):08x}"


@everywhere
def test_sizes_and_ends(tmp_path, place):
    file = make(tmp_path)
    before = file.read_bytes()
    assert disk(["sizes", "/dev/vda"], place, "--disk", str(file)) == f"{SIZE} in blocks of 512"
    assert file.read_bytes() == before[:-700] + b"\xa5" * 700


@everywhere
def test_any_offset_and_length(tmp_path, place):
    """Written in the guest, read there, and then on the host."""
    file = make(tmp_path)
    assert disk(["random", "/dev/vda", "150"], place, "--disk", str(file)) == crc(file)


@everywhere
@pytest.mark.parametrize("kernel", [(), ("--debug",)])
def test_four_cpus_write_to_the_same_blocks(tmp_path, place, kernel):
    file = make(tmp_path, size=200 * 512)
    assert disk(["share", "/dev/vda", "3"], place, *kernel, "--cpus", "4", "--disk", str(file)) == crc(file)


def test_a_fork_while_the_disk_reads_and_writes(tmp_path):
    disk(["fork", "/dev/vda", "20"], (), "--cpus", "4", "--disk", str(make(tmp_path)))


@everywhere
def test_read_only(tmp_path, place):
    file = make(tmp_path)
    before = file.read_bytes()
    file.chmod(0o400)
    assert disk(["read-only", "/dev/vda"], place, "--disk", f"{file}:ro") == str(before[5])
    assert file.read_bytes() == before


@everywhere
def test_several_disks_keep_their_order(tmp_path, place):
    files = [make(tmp_path, f"disk,{n}", (n + 1) * 1024) for n in range(4)]
    words = [w for f in files for w in ("--disk", str(f))]
    sums = "".join(f"{zlib.crc32(f.read_bytes()):x} {len(f.read_bytes())}\n" for f in files)
    script = "for d in a b c d; do crc32 /dev/vd$d | cut -d' ' -f1 | sed 's/^0*//' | tr '\\n' ' '; wc -c </dev/vd$d; done"
    check(["sh", "-c", script], sums, options=[*place, *words])


@pytest.mark.parametrize("place", [MEMORY])
def test_every_slot_in_memory(tmp_path, place):
    """As many disks as there is room for, and with none of them what is always there."""
    file = make(tmp_path, size=1024)
    most = {"riscv64": 7, "x86_64": 22}[ARCH]
    words = ["--disk", f"{file}:ro"] * most
    check(["sh", "-c", "ls /dev/vd* | wc -l; cat /dev/vd* | wc -c; ls /dev/hwrng"], f"{most}\n{most * 1024}\n/dev/hwrng\n",
          options=[*place, *words])
    status, _, err = run("true", options=[*place, *words, "--disk", f"{file}:ro"])
    assert status == 2 and "has room for" in err


@everywhere
def test_random_numbers(place):
    status, out, err = run("sh", "-c", "head -c 100000 /dev/hwrng", options=place)
    assert status == 0 and len(out) == 100000, err[-2000:]
    assert abs(sum(bin(b).count("1") for b in out) - 400000) < 3000
    assert len({out[i:i + 8] for i in range(0, len(out), 8)}) == 12500


@pytest.mark.skipif(ARCH != "riscv64", reason="the one in memory is found before that on PCI")
def test_random_numbers_are_taken_at_boot(tmp_path, monkeypatch):
    """The device gives out a pipe's bytes: the first 64 are gone when a program runs. When there are no more, reading fails."""
    source = tmp_path / "pipe"
    os.mkfifo(source)
    pipe = os.open(source, os.O_RDWR)
    os.write(pipe, bytes(range(84)))
    monkeypatch.setenv(*more("-global", "virtio-mmio.force-legacy=false", "-object", f"rng-random,id=file,filename={source}",
                             "-device", "virtio-rng-device,rng=file").popitem())
    script = "sleep 0.3; dd if=/dev/hwrng bs=20 count=1; dd if=/dev/hwrng bs=20 count=1; dmesg | tail -1 >&2"
    status, out, err = run("sh", "-c", script, options=PCI)
    os.close(pipe)
    assert status == 0 and out == bytes(range(64, 84)) and "Input/output error" in err and "does not answer" in err, (out, err)


@pytest.mark.parametrize("place", [PCI])
def test_blocks_of_4096_and_a_short_queue(tmp_path, monkeypatch, place):
    """Slots as few as the queue has room for; parts of large blocks."""
    file = make(tmp_path, size=200 * 4096)
    monkeypatch.setenv(*more("-drive", f"file={file},format=raw,if=none,id=x", "-device",
                             "virtio-blk-pci,drive=x,queue-size=4,logical_block_size=4096,physical_block_size=4096").popitem())
    assert disk(["sizes", "/dev/vda"], place) == f"{200 * 4096} in blocks of 4096"
    assert disk(["share", "/dev/vda", "1"], place, "--cpus", "4") == crc(file)
    assert disk(["random", "/dev/vda", "60"], place) == crc(file)


@pytest.mark.skipif(ARCH != "x86_64", reason="elsewhere all interrupts of PCI come by pins")
def test_interrupts_by_pins(tmp_path, monkeypatch):
    """Two devices without messages, on the same line."""
    file = make(tmp_path)
    monkeypatch.setenv(*more("-drive", f"file={file},format=raw,if=none,id=x", "-device", "virtio-blk-pci,drive=x,vectors=0,addr=8",
                             "-device", "virtio-blk-pci,drive=y,vectors=0,addr=12", "-drive", "driver=null-co,if=none,id=y,size=1M").popitem())
    assert disk(["random", "/dev/vda", "60"], ()) == crc(file)


@pytest.mark.skipif(ARCH != "x86_64", reason="only there")
def test_places_from_the_boot_line(tmp_path, monkeypatch):
    """Without ACPI, QEMU's microvm says on the boot line where its devices are."""
    file = make(tmp_path)
    monkeypatch.setenv(*more("-M", "acpi=off").popitem())
    assert disk(["random", "/dev/vda", "60"], MEMORY, "--disk", str(file)) == crc(file)


@pytest.mark.skipif(ARCH != "x86_64", reason="only there")
def test_bad_places_on_the_boot_line(tmp_path):
    """In memory, beyond what the CPU can address, larger than all windows, odd: no device, and the others work."""
    file = make(tmp_path)
    places = ["2000M@0xfeb00000:5", "512@0xf000000000000:5", "512@0x100000:5", "512@0xfffffffffffff000:5", "16@0xfeb00000:5", "512@0xfeb00202:5"]
    words = " ".join(f"virtio_mmio.device={p}" for p in places)
    assert disk(["random", "/dev/vda", "60"], MEMORY, "--disk", str(file), "--append", words) == crc(file)


@pytest.mark.skipif(ARCH != "x86_64", reason="only there")
def test_a_place_with_the_serial_ports_pin(monkeypatch):
    """The boot line says so of the random numbers' device: the console still has its interrupts."""
    monkeypatch.setenv(*more("-M", "acpi=off").popitem())
    check(["sh", "-c", "seq 1 3000; cat"], "".join(f"{n}\n" for n in range(1, 3001)) + "end\n", stdin=b"end\n", limit=100,
          options=[*MEMORY, "--append", "virtio_mmio.device=512@0xfeb00200:4"])


def test_numbers_of_characters_are_no_disks(tmp_path):
    """mknod: block and character devices have a space of numbers each."""
    script = "mknod /c c 254 0; mknod /z b 1 5; mknod /b b 254 0; head -c 1 /c; head -c 1 /z; head -c 4 /b"
    status, out, err = run("sh", "-c", script, options=["--disk", str(make(tmp_path, data=b"disk" * 128))], limit=100)
    assert (status, out) == (0, b"disk") and err.count("No such device or address") == 2, (status, out, err[-2000:])


@pytest.mark.skipif(ARCH != "x86_64", reason="no firmware sets bridges up elsewhere")
def test_behind_a_bridge(tmp_path, monkeypatch):
    file = make(tmp_path)
    monkeypatch.setenv(*more("-device", "pcie-root-port,id=rp,chassis=1", "-drive", f"file={file},format=raw,if=none,id=x",
                             "-device", "virtio-blk-pci,drive=x,bus=rp").popitem())
    assert disk(["random", "/dev/vda", "60"], ()) == crc(file)


REFUSED = [("virtio-rng-pci,disable-modern=on,disable-legacy=off", "its interface is not of version 1"),
           ("virtio-rng-pci,iommu_platform=on,disable-legacy=on", "cannot be used"),
           ("virtio-net-pci", "no driver for a device of type 1")]


@pytest.mark.parametrize("device,why", REFUSED)
def test_devices_that_are_not_used(monkeypatch, device, why):
    monkeypatch.setenv(*more("-device", device).popitem())
    status, out, err = run("dmesg", options=["--icount"])
    assert status == 0 and why in out.decode(), (out[-2000:], err)


def test_the_old_interface_in_memory_is_not_used(monkeypatch):
    monkeypatch.setenv(*more("-global", "virtio-mmio.force-legacy=true").popitem())
    status, out, _ = run("sh", "-c", "dmesg; ls /dev", options=MEMORY)
    assert status == 0 and b"its interface is of version 1" in out and b"hwrng" not in out


def blockdev(place, driver):
    node = json.dumps({"node-name": "x", **driver})
    kind = "pci" if place == PCI else "device"
    return more("-blockdev", node, "-device", f"virtio-blk-{kind},drive=x").popitem()


@everywhere
def test_an_error_of_the_disk(tmp_path, monkeypatch, place):
    """One sector cannot be read: EIO, and the others still can."""
    file = make(tmp_path)
    monkeypatch.setenv(*blockdev(place, {"driver": "blkdebug", "image": {"driver": "file", "filename": str(file)},
                                         "inject-error": [{"event": "none", "iotype": "read", "errno": 5, "sector": 8}]}))
    disk(["error", "/dev/vda", "4000"], place)


def test_a_disk_that_never_answers(monkeypatch):
    """A byte a second: after 30 s the read fails, and from then on everything at once. Another device goes on."""
    monkeypatch.setenv(*more("-drive", "driver=null-co,if=none,id=x,size=1M,read-zeroes=on,throttling.bps-read=1", "-device",
                             "virtio-blk-pci,drive=x").popitem())
    script = """date +%s; for i in 1 2 3; do dd if=/dev/vda bs=4096 count=1 >/dev/null || break; done; date +%s
dd if=/dev/vda bs=512 count=1; echo x | dd of=/dev/vda conv=fsync; date +%s; head -c 5 /dev/hwrng | wc -c; dmesg | tail -1"""
    status, out, err = run("sh", "-c", script, options=PCI, limit=100)
    times = [int(n) for n in re.findall(rb"^(\d{9,})$", out, re.M)]
    assert status == 0 and err.count("Input/output error") == 3, (out, err)
    assert 29 <= times[1] - times[0] <= 45 and times[2] - times[1] <= 3
    assert b"\n5\n" in out and b"does not answer" in out


BAD = [(("--disk", "/no/such/file"), "no such file"), (("--virtio", "mmio"), "--virtio"), (("--icount", "--disk", "README.md:ro"), "--icount")]


@pytest.mark.parametrize("words,why", BAD)
def test_bad_options(words, why):
    done = subprocess.run(["./cowslip", "run", "--arch", "x86_64", *words, "--", "true"], cwd=TOP, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)
    assert done.returncode == 2 and why in done.stderr.decode()
