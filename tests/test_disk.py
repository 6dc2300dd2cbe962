"""Disks that fill and disks that fail, for real: small file systems mounted through loop devices, and a venue in a process of its own.

Needs root, loop devices and the tools of ext4; where one is missing the tests are skipped and say so. Whatever a test mounts is unmounted
at its end, however it ends.

The kernel's lie: after a failed sync the pages that could not be written are marked clean. The next sync says that all is well, and who
reads the file gets from memory what is not on the disk. It is made here with an image on a tmpfs: blocks of the image that lie in a hole of
it cannot be written once the tmpfs is full.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kills import Auditor, Trader, trade_until_the_end
from venues import VenueProcess, config_file, journal_end

from ome.enums import EventKind
from ome.recovery import Replay

MIB = 1 << 20
BLOCK = 4096
TOOLS = ("mkfs.ext4", "mount", "umount", "findmnt", "fallocate", "filefrag")
pytestmark = pytest.mark.slow
FAILED = "(No space left on device|Input/output error|Read-only file system)"
_PIDFD_GETFD = 438


def command(*words: object) -> str:
    """Runs a command and returns what it printed."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


class Mounts:
    """Mounts, and knows what it has mounted."""

    def __init__(self) -> None:
        self._places: list[Path] = []

    def mount(self, place: Path, *words: object) -> None:
        """Skips the test where the system does not let it."""
        place.mkdir(exist_ok=True)
        done = subprocess.run(["mount", *map(str, words), str(place)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            said, _, _ = done.stderr.partition("\n")
            pytest.skip(f"needs a system that lets it mount: {said}")
        self._places.append(place)

    def mount_image(self, place: Path, image: Path) -> None:
        """Through a loop device that is asked for one block at a time: of more, what was written in part would pass for a success."""
        self.mount(place, "-o", "loop", image)
        device = Path(command("findmnt", "--noheadings", "--output", "SOURCE", place).strip())
        try:
            Path(f"/sys/block/{device.name}/queue/max_sectors_kb").write_text(str(BLOCK // 1024))
        except OSError as error:
            pytest.skip(f"needs a system that lets it set up a loop device: {error}")

    def unmount(self, place: Path) -> None:
        """The loop device goes with it."""
        command("umount", place)
        self._places.remove(place)

    def close(self) -> None:
        """Whatever is mounted still, the last first; also what a process still holds."""
        for place in reversed(self._places):
            subprocess.run(["umount", "--lazy", str(place)], check=False)


@pytest.fixture
def mounts() -> Iterator[Mounts]:
    """For one test."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if os.geteuid() != 0 or missing:
        pytest.skip(f"needs root and {', '.join(TOOLS)}; missing here: {', '.join(missing) or 'root'}")
    mounts = Mounts()
    yield mounts
    mounts.close()


def make_image(path: Path, size_bytes: int, *, is_sparse: bool = True) -> None:
    """A file with an empty ext4 in it. Nothing is kept for root or written behind the test's back; not sparse, it has all of its blocks."""
    with path.open("wb") as file:
        file.truncate(size_bytes)
        command("mkfs.ext4", "-q", "-b", BLOCK, "-m", 0, "-N", 256, "-E", "nodiscard,lazy_itable_init=0", path)
        if not is_sparse:
            os.posix_fallocate(file.fileno(), 0, size_bytes)


def free_bytes(place: Path) -> int:
    """What is free for who is not root."""
    status = os.statvfs(place)
    return status.f_bavail * status.f_frsize


def fill(path: Path, left_bytes: int) -> None:
    """Makes a file so large that the file system has so much left, or as good as."""
    with path.open("ab", buffering=0) as file:
        try:
            while (room := free_bytes(path.parent) - left_bytes) > 0:
                file.write(bytes(min(room, MIB)))
                os.fsync(file.fileno())
        except OSError:
            assert left_bytes == 0, "there is room for all of it"


def trade_until(traders: list[Trader], is_over: Callable[[], bool]) -> None:
    """The clients trade until something has come to pass, and then hear every answer."""
    while not is_over():
        for trader in traders:
            trader.trade()
    for trader in traders:
        trader.settle()


def connect(traders: list[Trader], venue: VenueProcess) -> None:
    """Every client logs on, and finds the orders that it knows."""
    for trader in traders:
        trader.connect(venue.orders_endpoint)
    for trader in traders:
        trader.reconcile()


def acknowledged(traders: list[Trader]) -> int:
    """The last command that a client was told of."""
    return max((said.engine_sequence for trader in traders for said in trader.heard), default=0)


def last_command(journal: Path) -> int:
    """Where a start would begin."""
    with Replay(journal) as replay:
        replay.run()
        return replay.report.last_sequence


def stop_and_audit(venue: VenueProcess, auditor: Auditor, journal: Path, traders: list[Trader]) -> None:
    """In good order."""
    venue.stop()
    for trader in traders:
        trader.listen_to_the_end()
    auditor.audit(journal, traders)


def test_a_disk_that_fills_stops_orders_and_not_cancels_and_room_opens_it_again(mounts: Mounts, tmp_path: Path) -> None:
    """Below the mark orders are refused and cancels work; nothing that was said is lost by a kill; with room again orders are taken."""
    journal, filler, mark = tmp_path / "journal", tmp_path / "journal" / "filler", 8 * MIB
    make_image(tmp_path / "image", 32 * MIB)
    mounts.mount_image(journal, tmp_path / "image")
    fill(filler, mark + MIB)
    traders, auditor = [Trader("FIRM1", 11), Trader("FIRM2", 12)], Auditor()
    with VenueProcess(config_file(tmp_path, low_water_bytes=mark)) as venue:
        venue.start()
        connect(traders, venue)
        trade_until(traders, lambda: any(trader.refused for trader in traders))
        assert mark - 2 * MIB < free_bytes(journal) < mark
        assert all(trader.ledger.orders for trader in traders), "there is something to cancel"
        for trader in traders:
            trader.reconcile()
        for trader in traders:
            trader.send_many(40)
        for trader in traders:
            trader.settle()
            assert trader.refused
        venue.kill()
        for trader in traders:
            trader.listen_to_the_end()
        auditor.audit(journal, traders)
        fill(filler, mark - MIB)  # the start gives back what was prepared
        assert venue.start()["recovered_commands"] == auditor.sequence
        connect(traders, venue)
        trade_until(traders, lambda: all(trader.refused for trader in traders))
        assert not any(said.kind == EventKind.ACCEPTED for trader in traders for said in trader.heard)
        filler.unlink()
        trade_until(traders, lambda: all(EventKind.ACCEPTED in {said.kind for said in trader.heard} for trader in traders))
        stop_and_audit(venue, auditor, journal, traders)


def test_a_full_disk_stops_the_venue_and_loses_nothing_that_was_said(mounts: Mounts, tmp_path: Path) -> None:
    """D3: The first call that finds no room ends it, with exit code 1. Without room it does not start, with room it has all."""
    journal, filler = tmp_path / "journal", tmp_path / "journal" / "filler"
    make_image(tmp_path / "image", 32 * MIB)
    mounts.mount_image(journal, tmp_path / "image")
    fill(filler, 3 * MIB // 2)
    traders, auditor = [Trader("FIRM1", 13), Trader("FIRM2", 14)], Auditor()
    with VenueProcess(config_file(tmp_path)) as venue:
        venue.start()
        connect(traders, venue)
        trade_until_the_end(traders)
        code, errors = venue.wait_for_failure()
        assert code == 1
        call = r"error: call \w+ in .*/journal/(journal|events)-\S+: found 'No space left on device', "
        said = call + r"allowed: success; everything up to command [\d,]+ is on disk"
        assert re.search(said, errors), errors
        auditor.audit(journal, traders)
        assert auditor.sequence > 3_000, "a segment was filled before"
        fill(filler, 0)
        with pytest.raises(AssertionError, match=r"the venue did not start: error: free space in .*: found '0 bytes'"):
            venue.start()
        assert last_command(journal) == auditor.sequence
        filler.unlink()
        assert venue.start()["recovered_commands"] == auditor.sequence
        connect(traders, venue)
        stop_and_audit(venue, auditor, journal, traders)


def punch(image: Path, file: Path, first_block: int) -> None:
    """Takes the blocks of a file from one on, which are zeros, out of the image: to be written they have to be made again."""
    mapped = command("filefrag", "-s", "-v", f"-b{BLOCK}", file)
    extents = re.findall(r"^ *\d+: +(\d+)\.\. *\d+: +(\d+)\.\. *\d+: +(\d+):", mapped, re.MULTILINE)
    count = 0
    for logical, physical, length in (map(int, extent) for extent in extents):
        skipped = max(0, first_block - logical)
        if skipped < length:
            command("fallocate", "--punch-hole", "-o", (physical + skipped) * BLOCK, "-l", (length - skipped) * BLOCK, image)
            count += length - skipped
    assert count > 0, "there is something to punch"


@pytest.fixture
def thin(mounts: Mounts, tmp_path: Path) -> Path:
    """An image with all of its blocks on a tmpfs with room for more, mounted on `tmp_path` / journal."""
    mounts.mount(tmp_path / "memory", "-t", "tmpfs", "-o", f"size={40 * MIB}", "tmpfs")
    image = tmp_path / "memory" / "image"
    make_image(image, 24 * MIB, is_sparse=False)
    mounts.mount_image(tmp_path / "journal", image)
    return image


def lies(image: Path, journal: Path) -> bool:
    """Whether on this kernel a sync that is tried again after it failed says that all is well, and a read that the data are there."""
    path, filler = journal / "probe", image.parent / "filler"
    with path.open("w+b", buffering=0) as file:
        file.write(bytes(BLOCK))
        punch(image, path, 0)
        fill(filler, 0)
        os.pwrite(file.fileno(), b"said".ljust(BLOCK, b"\0"), 0)
        with pytest.raises(OSError, match=FAILED):
            os.fdatasync(file.fileno())
        try:
            os.fdatasync(file.fileno())
            is_lie = os.pread(file.fileno(), 4, 0) == b"said"
        except OSError:
            is_lie = False
    filler.unlink()
    return is_lie


def test_the_kernel_says_that_all_is_well_after_a_sync_that_failed(thin: Path, mounts: Mounts, tmp_path: Path) -> None:
    """The control of the tests below: who tries the sync again is told that it is done, and after a new mount nothing is there."""
    if not lies(thin, tmp_path / "journal"):
        pytest.skip("this kernel does not lie: a sync that failed fails again, or the data are gone at once")
    mounts.unmount(tmp_path / "journal")
    mounts.mount_image(tmp_path / "journal", thin)
    assert (tmp_path / "journal" / "probe").read_bytes() == bytes(BLOCK)


def use_the_page_cache(pid: int, path: Path) -> None:
    """Makes another process write an open file through the page cache from now on, as it does where the file system can do no other."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        if os.readlink(link) == str(path):
            pidfd = os.pidfd_open(pid)
            file = ctypes.CDLL(None, use_errno=True).syscall(_PIDFD_GETFD, pidfd, int(link.name), 0)
            assert file >= 0, os.strerror(ctypes.get_errno())
            flags = fcntl.fcntl(file, fcntl.F_GETFL)
            assert flags & os.O_DIRECT
            fcntl.fcntl(file, fcntl.F_SETFL, flags & ~os.O_DIRECT)  # of what both processes have open
            os.close(file)
            os.close(pidfd)
            return
    raise AssertionError(f"{path} is not open in {pid}")


@pytest.mark.parametrize(("way", "call"), [("direct", "pwrite"), ("cached", "fdatasync")])
def test_a_commit_that_fails_ends_the_venue_and_what_is_only_in_memory_is_not_believed(
    thin: Path, mounts: Mounts, tmp_path: Path, way: str, call: str
) -> None:
    """D3: The first error ends it. What was said is on the disk; what is not is not there after a start until it is on the disk."""
    journal, filler = tmp_path / "journal", tmp_path / "memory" / "filler"
    if way == "cached" and not lies(thin, journal):
        pytest.skip("this kernel does not lie: a sync that failed fails again, or the data are gone at once")
    traders, auditor = [Trader("FIRM1", 15), Trader("FIRM2", 16)], Auditor()
    with VenueProcess(config_file(tmp_path)) as venue:
        venue.start()
        connect(traders, venue)
        trade_until(traders, lambda: acknowledged(traders) > 300)
        segment, end = journal_end(journal)
        if way == "cached":
            use_the_page_cache(venue.pid, segment)
        punch(thin, segment, -(-end // BLOCK))
        fill(filler, 0)
        traders[0].send_many(200)  # several blocks at a time
        trade_until_the_end(traders)
        code, errors = venue.wait_for_failure()
        assert code == 1
        told = re.search(rf"error: call {call} in {segment}: found '{FAILED}', allowed: success; everything up to command ([\d,]+)", errors)
        assert told is not None, errors
        durable = int(told[2].replace(",", ""))
        # What is on the disk, for it is read in a copy of it.
        command("cp", "--sparse=always", thin, tmp_path / "copy")
        mounts.mount_image(tmp_path / "truth", tmp_path / "copy")
        on_disk, in_memory = last_command(tmp_path / "truth"), last_command(journal)
        assert acknowledged(traders) <= durable <= on_disk
        if way == "cached":
            if in_memory == on_disk:
                pytest.skip("this time nothing was in memory alone")
            assert in_memory > on_disk, "the kernel gives out what it has not written"
            with pytest.raises(AssertionError, match=rf"the venue did not start: error: call \w+ in .*: found '{FAILED}'"):
                venue.start()
        else:
            assert in_memory <= on_disk
        filler.unlink()
        recovered = venue.start()["recovered_commands"]
        assert recovered >= on_disk
        venue.kill()
        mounts.unmount(journal)
        mounts.mount_image(journal, thin)
        assert last_command(journal) == recovered, "a start took for durable what was in memory only"
        auditor.audit(journal, traders)
        assert venue.start()["recovered_commands"] == auditor.sequence
        connect(traders, venue)
        stop_and_audit(venue, auditor, journal, traders)


def test_a_disk_that_has_less_room_than_it_says_ends_the_venue_at_the_first_error(mounts: Mounts, tmp_path: Path) -> None:
    """A sparse image, larger than the tmpfs that it is on: the file system has room and the disk has none, wherever that shows first."""
    journal, memory = tmp_path / "journal", tmp_path / "memory"
    mounts.mount(memory, "-t", "tmpfs", "-o", f"size={24 * MIB}", "tmpfs")
    make_image(memory / "image", 64 * MIB)
    mounts.mount_image(journal, memory / "image")
    fill(memory / "filler", 3 * MIB)
    traders, auditor = [Trader("FIRM1", 17), Trader("FIRM2", 18)], Auditor()
    with VenueProcess(config_file(tmp_path)) as venue:
        venue.start()
        connect(traders, venue)
        trade_until_the_end(traders)
        code, errors = venue.wait_for_failure()
        assert code == 1
        told = re.search(rf"error: call \w+ in {journal}\S*: found '{FAILED}', allowed: success; everything up to command ([\d,]+)", errors)
        assert told is not None, errors
        assert free_bytes(journal) > 8 * MIB, "the file system believes that there is room"
        assert acknowledged(traders) <= int(told[2].replace(",", "")) <= last_command(journal)
        (memory / "filler").unlink()
        mounts.unmount(journal)
        mounts.mount_image(journal, memory / "image")
        auditor.audit(journal, traders)
        assert venue.start()["recovered_commands"] == auditor.sequence
        connect(traders, venue)
        stop_and_audit(venue, auditor, journal, traders)
