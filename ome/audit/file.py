"""Writing the audit file: callers only queue, a thread of its own writes at once and syncs at most every second."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol

from ome.audit.lines import AUDIT_FILE, NO_CHAIN, AuditIntegrityError, AuditLine, find_end
from ome.flood import Flood
from ome.log import bounded_fields
from ome.supervision import Supervisor

__all__ = ["Audit", "AuditFile", "NoAudit", "note_act"]

_REFUSALS_PER_SECOND: Final = 20
_OTHERS_PER_SECOND: Final = 1_000  # of each kind; what a participant may do
_SYNC_S: Final = 1.0
_QUEUE_SIZE: Final = 10_000  # entries that wait for the thread
_BATCH_SIZE: Final = 500  # entries: below 4 MiB that are not synced, of the 8 MiB that a start reads
_KIND_SIZE_MAX: Final = 32

_log = logging.getLogger(__name__)

_Fields = Mapping[str, str | int | bool | None]


class Audit(Protocol):
    """Takes what is to be recorded."""

    def append(self, kind: str, /, **fields: object) -> None:
        """Records an event. Any thread; never waits for a disk, never raises."""

    @property
    def is_failing(self) -> bool:
        """Whether events cannot be written now."""


class NoAudit:
    """Records nothing: where there is no journal, there is no audit file."""

    is_failing: Final = False

    def append(self, kind: str, /, **fields: object) -> None:
        """Does nothing."""


class AuditFile:
    """The audit file in `directory`, for the process that holds the directory. `start`, then `append` from any thread, then `close`.

    Of the kind `refusal` no more than 20 lines are written in a second, of every other kind 1,000. What is beyond is counted, and one line
    with the field `suppressed` says how many. What cannot be written waits, up to 10,000 lines; what is beyond that is `lost`, and a line
    says it.

    While it cannot be written, `is_failing` says so, the log has the reason, and the thread tries again.
    """

    def __init__(
        self,
        directory: Path,
        *,
        supervisor: Supervisor | None = None,
        clock: Callable[[], float] = time.monotonic,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.path = directory / AUDIT_FILE
        self.lost = 0  # all that were dropped
        self._now_ns = now_ns
        self._flood = Flood(clock)
        self._lock = threading.Lock()  # of the queue and the counts
        self._queue: deque[tuple[int, str, _Fields]] = deque()
        self._untold = 0  # dropped, and no line says it yet
        self._is_closed = False
        # The thread's, and the closing one's when the thread has ended:
        self._is_failing = False
        self._descriptor = -1
        self._sequence = 0
        self._chain = NO_CHAIN
        self._synced_sequence = 0
        self._synced_offset = 0
        self._unsynced: list[bytes] = []  # what follows that offset
        self._written = 0  # how many of them are written
        self._next_sync_s = 0.0
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = (supervisor or Supervisor()).thread("ome-audit", self._work, period_s=0.0, stopping=self._stopping)

    @property
    def is_failing(self) -> bool:
        """Whether lines cannot be written now. They wait, or are lost and counted; the venue goes on."""
        return self._is_failing

    def start(self) -> None:
        """Opens the file, cuts off a torn tail, and writes from now on. Where it cannot, the log says so, and it is tried again."""
        self._try_once()
        self._thread.start()

    def append(self, kind: str, /, **fields: object) -> None:
        """Records an event with these fields: bounded, and nothing secret. After `close` it is lost."""
        if not self._flood.passes(kind, _REFUSALS_PER_SECOND if kind == "refusal" else _OTHERS_PER_SECOND):
            return
        entry = (self._now_ns(), kind[:_KIND_SIZE_MAX], bounded_fields(fields))
        with self._lock:
            if self._is_closed or len(self._queue) >= _QUEUE_SIZE:
                self.lost += 1
                self._untold += 1
                return
            self._queue.append(entry)
        self._wake.set()

    def close(self) -> None:
        """Ends the thread, writes what waits, syncs."""
        self._stopping.set()
        self._wake.set()
        self._thread.stop()
        with self._lock:
            self._is_closed = True
        while self._try_once(is_last=True) and self._has_more():
            pass
        if self._has_more():
            _log.warning("%s: %d lines could not be written", self.path, len(self._queue) + len(self._unsynced) + self._untold)
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    # ---- the thread ----

    def _work(self) -> None:
        """Waits for entries, or for the next sync, and writes."""
        self._wake.wait(_SYNC_S)
        self._wake.clear()
        self._write()

    def _try_once(self, *, is_last: bool = False) -> bool:
        """Writes; False where that failed, which the log has."""
        try:
            self._write(is_last=is_last)
        except (OSError, AuditIntegrityError) as error:
            _log.warning("the audit file cannot be written: %s", error)
            return False
        return True

    def _has_more(self) -> bool:
        with self._lock:
            return bool(self._queue or self._unsynced or self._untold)

    def _write(self, *, is_last: bool = False) -> None:
        """One batch. Raises OSError or AuditIntegrityError; nothing is lost then, and the next call begins behind what is on disk."""
        try:
            self._write_batch(is_last=is_last)
        except BaseException:
            self._is_failing = True
            raise
        self._is_failing = False

    def _write_batch(self, *, is_last: bool) -> None:
        if self._descriptor < 0:
            self._open()
        self._check_place()
        if self._unsynced and not self._written:  # it failed before: first that, so that no more than a batch is ever not synced
            self._write_lines()
            self._sync()
        for kind, count in self._flood.take(all_of_them=is_last).items():
            self._add(self._now_ns(), kind, {"suppressed": count})
        for entry in self._take():
            self._add(*entry)
        self._write_lines()
        if self._unsynced and (is_last or time.monotonic() >= self._next_sync_s or len(self._unsynced) >= _BATCH_SIZE):
            self._sync()

    def _check_place(self) -> None:
        """Raises where somebody has moved or removed the file: what is written to it then, nobody reads."""
        own, found = os.fstat(self._descriptor), os.stat(self.path)
        if (own.st_dev, own.st_ino) != (found.st_dev, found.st_ino):
            allowed = "the file that is being written: put it back"
            raise AuditIntegrityError("audit file", where=str(self.path), found="another file", allowed=allowed)

    def _take(self) -> list[tuple[int, str, _Fields]]:
        """The next entries, behind one that says how many were lost."""
        with self._lock:
            lost, self._untold = self._untold, 0
            entries = [self._queue.popleft() for _ in range(min(len(self._queue), _BATCH_SIZE))]
            if self._queue:
                self._wake.set()
        return [(self._now_ns(), "lost", {"lines": lost}), *entries] if lost else entries

    def _add(self, time_ns: int, kind: str, fields: _Fields) -> None:
        line = AuditLine.following(self._chain, self._sequence + 1, self._synced_sequence, time_ns, kind, fields)
        self._sequence, self._chain = line.sequence, line.chain
        self._unsynced.append(line.data())

    def _write_lines(self) -> None:
        data = b"".join(self._unsynced[self._written :])
        if not data:
            return
        offset = self._synced_offset + sum(map(len, self._unsynced[: self._written]))
        try:
            while data:
                size = os.pwrite(self._descriptor, data, offset)
                data, offset = data[size:], offset + size
        except OSError:
            self._begin_again()
            raise
        self._written = len(self._unsynced)

    def _sync(self) -> None:
        try:
            os.fsync(self._descriptor)
        except OSError:
            self._begin_again()  # what was not synced may be gone, and the next sync would not say it
            raise
        self._synced_offset += sum(map(len, self._unsynced))
        self._synced_sequence = self._sequence
        self._unsynced, self._written = [], 0
        self._next_sync_s = time.monotonic() + _SYNC_S

    def _begin_again(self) -> None:
        """Behind what is on disk: all that is not is written again."""
        self._written = 0
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, self._synced_offset)

    def _open(self) -> None:
        """Finds the end, saves and cuts off what is torn."""
        is_new = not self.path.exists()
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            end = find_end(self.path)
            if end.torn_bytes:
                self._save(descriptor, end.offset, end.torn_bytes)
                os.ftruncate(descriptor, end.offset)
            os.fsync(descriptor)
            if is_new or end.torn_bytes:
                _sync_directory(self.path.parent)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        self._sequence, self._chain = end.sequence, end.chain
        self._synced_sequence, self._synced_offset = end.sequence, end.offset
        if end.torn_bytes:
            _log.warning("%s: a torn tail of %s bytes was cut off and saved to a file", self.path, f"{end.torn_bytes:,}")
            self._add(self._now_ns(), "torn", {"bytes": end.torn_bytes, "offset": end.offset})

    def _save(self, descriptor: int, offset: int, size: int) -> None:
        """The torn bytes, in a file of their own, on disk before they are cut off; one that is there already is of a start that died."""
        path = self.path.with_name(f"{self.path.name}.torn-{offset}")
        if path.exists():
            return
        with path.open("wb") as file:
            file.write(os.pread(descriptor, size, offset))
            file.flush()
            os.fsync(file.fileno())


def note_act(directory: Path, kind: str, /, **fields: object) -> None:
    """Records one act in the audit file of a directory that this process holds, on disk when this returns. The log says what fails."""
    audit = AuditFile(directory)
    audit.append(kind, **fields)
    audit.close()


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
