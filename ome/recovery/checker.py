"""The checker: reads all stored segments of a running venue, slowly, again and again, so that damage is known while there are good copies.

A start reads only what is behind its snapshot, so damage before that would wait until somebody runs `ome-admin verify`. The checker reads
every segment of the journal and of the event log, and then compares the sealed segments with the manifest. It has a thread of its own of
the lowest priority and reads no more than so many bytes a second, a piece at a time, where a core is idle; what was read does not stay in
the page cache. Each damaged place is a warning in the log once a pass, and is counted in `ome-admin stats`. It changes nothing: `ome-admin
repair` does, when the venue is stopped.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ome._native import ffi, lib
from ome.errors import OmeError
from ome.journal import text_of
from ome.recovery.directory import segment_first_sequence, segments
from ome.recovery.manifest import MANIFEST_FILE, lines_of_segments
from ome.supervision import Supervisor

__all__ = ["Checker", "StoredDamage", "find_old_damage"]

_RECORD_COUNT: Final = 2_000  # at a time: some 150 KB, a tenth of a millisecond
_PIECE_BYTES: Final = 64 << 10
_REST_S: Final = 3_600.0  # between two passes
_KINDS: Final = (("journal", lib.OME_JOURNAL_COMMANDS), ("events", lib.OME_JOURNAL_EVENTS))

_log = logging.getLogger(__name__)


class Checker:
    """Checks the segments in `directory`, `bytes_per_second` at most, for as long as it runs; another pass begins `rest_s` after the last.

    `tell` gets bytes read, passes done, and damaged places: those of the last pass, or of this one where they are more.
    """

    def __init__(
        self,
        directory: Path,
        bytes_per_second: int,
        tell: Callable[[int, int, int], None],
        *,
        supervisor: Supervisor | None = None,
        rest_s: float = _REST_S,
    ) -> None:
        self.directory = directory
        self.damaged: list[str] = []  # of this pass
        self._bytes_per_second = bytes_per_second
        self._tell = tell
        self._rest_s = rest_s
        self._size_bytes = 0
        self._pass_count = 0
        self._damage_count = 0  # of the last pass
        self._stopping = threading.Event()
        self._thread = (supervisor or Supervisor()).thread(
            "ome-checker", self._work, period_s=0.0, stopping=self._stopping, in_background=True
        )

    def start(self) -> None:
        """From now on in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Returns when the thread has ended: at the latest after the piece that it is reading."""
        self._thread.stop()

    def _work(self) -> None:
        """A pass, no faster than it may be, and the rest after it."""
        for size_bytes in self.run_pass():
            if self._stopping.wait(size_bytes / self._bytes_per_second):
                return
        self._stopping.wait(self._rest_s)

    def run_pass(self) -> Iterator[int]:
        """One pass over everything, a piece at each step: gives how many bytes it was."""
        self.damaged = []
        for name, kind in _KINDS:
            yield from self._counted(self._segments(name, kind))
        yield from self._counted(self._manifest())
        self._pass_count += 1
        self._damage_count = len(self.damaged)
        self._say()

    def _counted(self, pieces: Iterator[int]) -> Iterator[int]:
        for size_bytes in pieces:
            self._size_bytes += size_bytes
            self._say()
            yield size_bytes

    def _say(self) -> None:
        self._tell(self._size_bytes, self._pass_count, max(self._damage_count, len(self.damaged)))

    def _note(self, place: str) -> None:
        _log.warning("the check of stored segments found damage: %s. The venue runs on; see docs/OPERATING.md, A check finds damage", place)
        self.damaged.append(place)

    def _segments(self, name: str, kind: int) -> Iterator[int]:
        """From the first segment on; behind damage with the next one."""
        behind: int | None = 0
        while behind is not None:
            later = (segment_first_sequence(path.name) for path in segments(self.directory, name))
            first = next((sequence for sequence in later if sequence > behind), None)
            if first is None:
                return
            try:
                damage = yield from _scan(self.directory, kind, first)
            except OSError as error:  # a file was renamed or removed, or cannot be read: the next one may be good
                path = Path(error.filename or self.directory)
                last = segment_first_sequence(path.name) if path.suffix == ".ome" else first
                damage = StoredDamage(path, f"{path}: {error.strerror}", max(first, last))
            behind = None if damage is None else damage.behind
            if damage is not None:
                self._note(damage.text)

    def _manifest(self) -> Iterator[int]:
        """Every segment that the manifest names is what was sealed."""
        try:
            lines = lines_of_segments(self.directory)
        except OmeError as error:
            self._note(str(error))
            return
        for line in lines:
            path = self.directory / line.name
            if not path.exists():
                self._note(f"{path}: no such file, and the {MANIFEST_FILE} names it")
                continue
            digest = line.algorithm.hasher()
            left = line.size_bytes
            try:
                with path.open("rb", buffering=0) as file:
                    while left > 0 and (piece := file.read(min(left, _PIECE_BYTES))):
                        digest.update(piece)
                        left -= len(piece)
                        yield len(piece)
            except OSError as error:  # the next one may be good
                self._note(f"{path}: {error.strerror}")
                continue
            _forget(str(path))
            if left or digest.digest() != line.digest:
                self._note(f"{path}: other bytes than the {MANIFEST_FILE} has the digest of")


@dataclass(frozen=True, slots=True)
class StoredDamage:
    """A damaged place of stored segments. The next segment that may be whole begins behind the sequence `behind`."""

    path: Path
    text: str
    behind: int


def find_old_damage(directory: Path, name: str) -> StoredDamage | None:
    """The first damaged segment of a kind, `journal` or `events`, that another one follows, also where no start reads it."""
    found = segments(directory, name)
    if not found:
        return None
    pieces = _scan(directory, dict(_KINDS)[name], segment_first_sequence(found[0].name))
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            damage: StoredDamage | None = end.value
            return damage if damage is not None and damage.path in found[:-1] else None


def _scan(directory: Path, kind: int, first: int) -> Generator[int, None, StoredDamage | None]:
    """Reads from a segment on to the end of all, or to the first damaged place."""
    scan = ffi.new("ome_scan_t **")
    if lib.ome_scan_create(os.fsencode(directory), kind, first, scan) != lib.OME_OK:
        raise MemoryError("no memory to read a segment")
    report, size = ffi.new("ome_scan_report_t *"), ffi.new("uint64_t *")
    path = ""
    try:
        while True:
            status = lib.ome_scan_step_idle(scan[0], _RECORD_COUNT, size)
            lib.ome_scan_report(scan[0], report)
            before, path = path, text_of(report.path)
            if before not in ("", path):
                _forget(before)
            if size[0]:
                yield int(size[0])
            if status != lib.OME_OK:
                break
        if status == lib.OME_EMPTY:
            return None
        if status == lib.OME_IO_ERROR:
            raise OSError(report.error_number, os.strerror(report.error_number), path)
        is_missing = Path(path) == directory
        return StoredDamage(
            Path(path),
            f"{path} at offset {report.offset:,}: {text_of(report.reason)}; sequence {report.sequence + 1:,} was expected",
            int(report.sequence) if is_missing else max(int(report.sequence), segment_first_sequence(Path(path).name)),
        )
    finally:
        _forget(path)
        lib.ome_scan_destroy(scan[0])


def _forget(path: str) -> None:
    """What was read of a file need not stay in the page cache: nobody reads it soon."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
