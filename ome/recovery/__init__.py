"""From a journal to an engine: replay, with progress, and the exact place where a journal is not what was written."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from types import TracebackType

from ome._native import CData, ffi, lib
from ome.engine import EngineView
from ome.errors import OmeError

__all__ = ["JournalError", "JournalIntegrityError", "JournalReport", "Replay", "Verdict"]

_STEP_COUNT = 100_000  # commands between two calls of `progress`: some 20 ms


class Verdict(IntEnum):
    """What a journal's end looks like."""

    READING = 0
    CLEAN = 1
    TORN = 2
    DAMAGED = 3
    UNSUPPORTED = 4


class JournalError(OmeError):
    """A journal cannot be read: it is not there, or the system refuses."""


class JournalIntegrityError(OmeError):
    """Stored bytes are not what was written. `report` says where; nothing was changed."""

    def __init__(self, report: JournalReport) -> None:
        self.report = report
        found = report.reason if not report.sequence_found else f"{report.reason}; sequence {report.sequence_found:,}"
        where = f"{report.path} at offset {report.offset:,}"
        super().__init__("journal", where=where, found=found, allowed=f"sequence {report.sequence_expected:,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalReport:
    """Where a reader stands. `offset` is in the file at `path`; `torn_bytes` follow the last valid record when the verdict is TORN.
    `event_hash` is the rolling hash of all events that the commands so far gave."""

    verdict: Verdict
    last_sequence: int
    epoch: int
    path: str
    offset: int
    sequence_expected: int
    sequence_found: int
    torn_bytes: int
    event_hash: int
    reason: str


class Replay:
    """Replays the journal of a directory into an engine of its own, which is then read through `view`. Changes nothing on disk.

    `run` does it all; `step` does some. With `live` a server may be writing: the replay ends at the last complete record.
    Use it as a context manager, or `close` it.

    Raises JournalError where there is no such directory, JournalIntegrityError where the journal is damaged.
    """

    def __init__(self, directory: str | os.PathLike[str], *, live: bool = False) -> None:
        self.directory = Path(directory)
        self._pointer: CData = None
        if not self.directory.is_dir():
            raise JournalError("journal directory", found=str(directory), allowed="a directory that exists")
        replay = ffi.new("ome_replay_t **")
        if lib.ome_replay_create(os.fsencode(self.directory), live, replay) != lib.OME_OK:
            raise JournalError("journal directory", found=str(directory), allowed="a path of less than 4,000 bytes, and memory to read it")
        self._pointer = replay[0]
        self._view: EngineView | None = None
        self.is_at_end = False

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Frees the engine, unless a venue has taken it."""
        if self._pointer is not None:
            if self._view is not None:
                self._view._pointer = None
            lib.ome_replay_destroy(self._pointer)
            self._pointer = None

    @property
    def pointer(self) -> CData:
        """The replay, an ome_replay_t *."""
        return self._pointer

    @property
    def view(self) -> EngineView | None:
        """The engine so far; None before the first command."""
        if self._view is None:
            engine = lib.ome_replay_engine(self._pointer)
            if engine != ffi.NULL:
                self._view = EngineView(engine)
        return self._view

    @property
    def report(self) -> JournalReport:
        """Where the reader stands."""
        found = self._report()
        return JournalReport(
            verdict=Verdict(found.verdict),
            last_sequence=found.last_sequence,
            epoch=found.epoch,
            path=_text(found.path),
            offset=found.offset,
            sequence_expected=found.sequence_expected,
            sequence_found=found.sequence_found,
            torn_bytes=found.torn_bytes,
            event_hash=found.event_hash,
            reason=_text(found.reason),
        )

    def step(self, count: int = _STEP_COUNT) -> bool:
        """Applies up to `count` commands; False when the journal has no more.

        Raises JournalIntegrityError, or JournalError for a failed call.
        """
        status = lib.ome_replay_step(self._pointer, count)
        if status in (lib.OME_OK, lib.OME_EMPTY):
            self.is_at_end = status == lib.OME_EMPTY
            return not self.is_at_end
        if status in (lib.OME_DAMAGED, lib.OME_UNSUPPORTED):
            raise JournalIntegrityError(self.report)
        if status == lib.OME_NO_MEMORY:
            raise MemoryError("no memory for the engine that the journal asks for")
        found = self._report()
        raise JournalError(_text(found.error_call), where=_text(found.error_path), found=os.strerror(found.error_number), allowed="success")

    def run(self, *, to: int | None = None, progress: Callable[[int], None] | None = None) -> float:
        """Replays to the end, or up to and with command `to`; `progress` gets the sequence reached. Returns the seconds that it took."""
        start = time.perf_counter()
        sequence = 0
        while to is None or sequence < to:
            more = self.step(_STEP_COUNT if to is None else min(_STEP_COUNT, to - sequence))
            sequence = self.view.sequence if self.view is not None else 0
            if progress is not None:
                progress(sequence)
            if not more:
                break
        return time.perf_counter() - start

    def _report(self) -> CData:
        found = ffi.new("ome_replay_report_t *")
        lib.ome_replay_report(self._pointer, found)
        return found


def _text(value: CData) -> str:
    return "" if value == ffi.NULL else os.fsdecode(ffi.string(value))
