"""The journal of a directory as arrays of commands, with the exact place of any damage.

`JournalReader` returns the commands; `ome.recovery.Replay` applies them. Both are a `JournalSource`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np

from ome._native import CData, ffi, lib
from ome.codec import COMMAND, RECORD_SIZE, Records
from ome.errors import NotCopyable, OmeError

__all__ = [
    "BATCH_COUNT",
    "Decision",
    "DecisionKind",
    "JournalError",
    "JournalIntegrityError",
    "JournalReader",
    "JournalReport",
    "JournalSource",
    "ReplayAssertionError",
    "Verdict",
]

IS_LIVE: Final = lib.OME_REPLAY_IS_LIVE
FROM_SNAPSHOT: Final = lib.OME_REPLAY_FROM_SNAPSHOT
SETS_ASIDE: Final = lib.OME_REPLAY_SETS_ASIDE
CHECKS_EVENTS: Final = lib.OME_REPLAY_CHECKS_EVENTS

BATCH_COUNT: Final = 65_536
"""Commands of a batch, unless another number is asked for: 4 MB."""


class Verdict(IntEnum):
    """What a journal's end looks like."""

    READING = lib.OME_JOURNAL_READING
    CLEAN = lib.OME_JOURNAL_CLEAN
    TORN = lib.OME_JOURNAL_TORN
    DAMAGED = lib.OME_JOURNAL_DAMAGED
    UNSUPPORTED = lib.OME_JOURNAL_UNSUPPORTED
    ABSENT = lib.OME_JOURNAL_ABSENT


class DecisionKind(IntEnum):
    """What people have decided about a journal."""

    QUARANTINE = lib.OME_DECISION_QUARANTINE
    CUT = lib.OME_DECISION_CUT
    BEGIN = lib.OME_DECISION_BEGIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A decision about a journal, stored in its own files: about command `sequence`, whose record has `checksum`, made
    at `time_ns`.

    QUARANTINE: the command counts as one of no kind, which every engine rejects. CUT: the journal was cut before it, and what was decided
    before about it and later ones `is_void`. BEGIN: the journal was made to begin with it, behind a snapshot.
    """

    kind: DecisionKind
    sequence: int
    checksum: int
    time_ns: int
    is_void: bool


class JournalError(OmeError):
    """A journal cannot be read: it is not there, or the system refuses."""


class JournalIntegrityError(OmeError):
    """Stored bytes are not what was written, or are not there. `report` says where; nothing was changed."""

    def __init__(self, report: JournalReport) -> None:
        self.report = report
        found = report.reason if not report.sequence_found else f"{report.reason}; sequence {report.sequence_found:,}"
        where = f"{report.path} at offset {report.offset:,}"
        super().__init__("journal", where=where, found=found, allowed=f"sequence {report.sequence_expected:,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalReport:
    """The position of a reader. `offset` is in the file at `path`; `torn_bytes` follow the last valid record when the
    verdict is TORN.

    `segment_count` segments were opened so far, the last of them of `epoch` and made under a configuration of `configuration_hash`.
    `quarantined` commands were given as such; `record_checksum` is that of the last command's record. `event_hash` is the rolling
    hash of all events that the commands so far gave; only a replay has one. `snapshot_sequence` is that of the snapshot that a replay began
    with, 0 for none; `snapshots_refused` newer ones are broken or of another version, the first of them at `refused_path`, because of
    `refused_reason`. A replay that checks events has found `events_checked` of them in the event log too, the same; it lacks the
    `events_missing` last ones, or has `events_ahead` more than the journal gives. Where the log is at fault (`is_of_event_log`),
    `events_right` is the number of its last event that is right, and `events_differ` says that the next one is another.
    `is_of_decisions`: the decisions about the journal are at fault.
    """

    verdict: Verdict
    last_sequence: int
    epoch: int
    segment_count: int
    path: str
    offset: int
    sequence_expected: int
    sequence_found: int
    torn_bytes: int
    event_hash: int
    reason: str
    snapshot_sequence: int
    snapshots_refused: int
    refused_path: str
    refused_reason: str
    events_checked: int
    events_missing: int
    events_ahead: int
    events_right: int
    quarantined: int
    record_checksum: int
    configuration_hash: int
    is_of_event_log: bool
    events_differ: bool
    is_of_decisions: bool


class ReplayAssertionError(JournalIntegrityError):
    """A command of the journal trips an assertion of the core, as it did when it first came. `report.sequence_found` is its number.

    Nothing was changed on disk; the replay's engine is lost.
    """

    def __init__(self, report: JournalReport, directory: Path) -> None:
        self.report = report
        OmeError.__init__(
            self,
            "journal",
            where=f"{directory}, command {report.sequence_found:,}",
            found=report.reason,
            allowed="a command that this build of the core can apply",
        )


class JournalSource(NotCopyable):
    """The journal of a directory, open to be read from its first record, with the decisions about it. Changes nothing on disk.

    With `live` a server may be writing: the journal ends at its last complete record, and may be asked again later. `is_at_end` says
    whether the last call found no more. Use it as a context manager, or `close` it.

    Raises JournalError where there is no such directory.
    """

    _use_instead = "another one of the same directory"

    def __init__(self, directory: str | os.PathLike[str], *, live: bool = False) -> None:
        self._open(directory, IS_LIVE if live else 0)

    def _open(self, directory: str | os.PathLike[str], flags: int) -> None:
        self.directory = Path(directory)
        self.is_at_end = False
        self._pointer: CData = None
        if not self.directory.is_dir():
            raise JournalError("journal directory", found=str(directory), allowed="a directory that exists")
        source = ffi.new("ome_replay_t **")
        status = lib.ome_replay_create(os.fsencode(self.directory), flags, source)
        if source[0] == ffi.NULL:
            raise JournalError("journal directory", found=str(directory), allowed="a path of less than 4,000 bytes, and memory to read it")
        self._pointer = source[0]
        try:
            self.check(status)
        except OmeError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Frees all memory; nothing can be read any more."""
        if self._pointer is not None:
            lib.ome_replay_destroy(self._pointer)
            self._pointer = None

    @property
    def pointer(self) -> CData:
        """What C reads with, an ome_replay_t *."""
        return self._pointer

    @property
    def report(self) -> JournalReport:
        """The position of the reader."""
        found = self._report()
        return JournalReport(
            verdict=Verdict(found.verdict),
            last_sequence=found.last_sequence,
            epoch=found.epoch,
            segment_count=found.segment_count,
            path=text_of(found.path),
            offset=found.offset,
            sequence_expected=found.sequence_expected,
            sequence_found=found.sequence_found,
            torn_bytes=found.torn_bytes,
            event_hash=found.event_hash,
            reason=text_of(found.reason),
            snapshot_sequence=found.snapshot_sequence,
            snapshots_refused=found.snapshots_refused,
            refused_path=text_of(found.refused_path),
            refused_reason=text_of(found.refused_reason),
            events_checked=found.events_checked,
            events_missing=found.events_missing,
            events_ahead=found.events_ahead,
            events_right=found.events_right,
            quarantined=found.quarantined,
            record_checksum=found.record_checksum,
            configuration_hash=found.configuration_hash,
            is_of_event_log=bool(found.is_of_event_log),
            events_differ=bool(found.events_differ),
            is_of_decisions=bool(found.is_of_decisions),
        )

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """What was decided about the journal, in the order in which it was."""
        look = ffi.new("ome_decision_view_t *")
        found: list[Decision] = []
        while lib.ome_replay_decision(self._pointer, len(found), look) == lib.OME_OK:
            kind = DecisionKind(look.kind)
            decision = Decision(kind=kind, sequence=look.sequence, checksum=look.checksum, time_ns=look.time_ns, is_void=bool(look.is_void))
            found.append(decision)
        return tuple(found)

    @property
    def quarantined(self) -> tuple[int, ...]:
        """The sequences of the commands that are quarantined, in order."""
        return tuple(sorted({made.sequence for made in self.decisions if made.kind is DecisionKind.QUARANTINE and not made.is_void}))

    def _report(self) -> CData:
        found = ffi.new("ome_replay_report_t *")
        lib.ome_replay_report(self._pointer, found)
        return found

    def check(self, status: int) -> None:
        """Notes whether that was the end. Raises JournalIntegrityError, MemoryError, or JournalError for a failed call."""
        if status in (lib.OME_OK, lib.OME_EMPTY):
            self.is_at_end = status == lib.OME_EMPTY
            return
        if status in (lib.OME_DAMAGED, lib.OME_UNSUPPORTED, lib.OME_NOT_FOUND):
            raise JournalIntegrityError(self.report)
        if status == lib.OME_ASSERTED:
            raise ReplayAssertionError(self.report, self.directory)
        if status == lib.OME_NO_MEMORY:
            raise MemoryError("no memory for the engine that the journal asks for")
        found = self._report()
        raise JournalError(
            text_of(found.error_call), where=text_of(found.error_path), found=os.strerror(found.error_number), allowed="success"
        )


class JournalReader(JournalSource):
    """Gives the commands of a journal in batches; iterating gives all of them, from `first` on. They are not applied to anything.

    A command that is quarantined is given as one of kind 0.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory, JournalReader(directory) as reader:
    ...     [len(batch) for batch in reader], reader.report.last_sequence
    ([], 0)
    """

    def __init__(self, directory: str | os.PathLike[str], *, live: bool = False, first: int = 1) -> None:
        super().__init__(directory, live=live)
        if first > 1:
            lib.ome_replay_begin_with(self._pointer, first)

    def __iter__(self) -> Iterator[Records]:
        while len(commands := self.read()) > 0:
            yield commands

    def read(self, count: int = BATCH_COUNT) -> Records:
        """The next commands, `count` or as many as are left: an array of dtype COMMAND, each with its sequence. The GIL is released.

        Commands before any damage are returned first. Raises JournalIntegrityError, or JournalError for a failed call.
        """
        commands, data, found = commands_buffer(count)
        status = lib.ome_replay_commands(self._pointer, data, count, found)
        if found[0] == 0:
            self.check(status)
        return commands[: found[0]]


def commands_buffer(count: int) -> tuple[Records, CData, CData]:
    """Room for `count` commands, the same for C, and where C says how many there are."""
    commands = np.empty(count * RECORD_SIZE, dtype=np.uint8).view(COMMAND)
    return commands, ffi.from_buffer(commands), ffi.new("uint64_t *")


def text_of(value: CData) -> str:
    """A string of C; empty for NULL."""
    return "" if value == ffi.NULL else os.fsdecode(ffi.string(value))
