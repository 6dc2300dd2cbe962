"""The checks of `verify`: each looks at every batch of a replay, counts what it has looked at, and says at the end whether it held.

A further one is a class with the methods of `Check`, and a line in `verification.verify`.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from ome.audit import AuditIntegrityError
from ome.codec import EVENT, Records, join_records, record_bytes
from ome.enums import CommandKind
from ome.errors import InvalidValueError, InvariantError
from ome.messages import Limits
from ome.recovery import Batch, Replay
from ome.recovery.audit_check import check_audit
from ome.recovery.checker import find_old_damage
from ome.recovery.findings import Finding
from ome.recovery.manifest import ManifestError, check_manifest
from ome.recovery.names import Names
from ome.recovery.snapshots import Snapshot, inspect_snapshot, snapshot_sequences
from ome.recovery.wording import Described, describe_commands, describe_events, instruments_meant
from ome.reference import ReferenceEngine

__all__ = ["Applied", "Audit", "Check", "CheckResult", "Disagreement", "EventLog", "Manifest", "Reference", "Snapshots"]

_EVENT_KEPT_COUNT: Final = 20  # events of each side that a disagreement shows


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What a check found: `count` things of the kind `unit` were looked at and are right; `detail` says what is wrong.

    Of a snapshot that is wrong, `sequence` is its command and `finding` says how it is wrong. Of an audit file that is right,
    `finding` says whether its end is torn.
    """

    name: str
    is_ok: bool
    count: int
    unit: str
    detail: str = ""
    sequence: int = 0
    finding: Finding | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """A command to which another engine says something else: the first events of each from where they part."""

    sequence: int
    command: Described
    core: tuple[Described, ...]
    reference: tuple[Described, ...]


class Check(Protocol):
    """One thing that is looked at while a journal is replayed."""

    def take(self, batch: Batch, replay: Replay) -> bool:
        """Looks at the next commands and events, which the replay has applied; False where it makes no sense to go on."""

    def result(self, replay: Replay) -> CheckResult:
        """What it found, once everything was read."""


class Applied:
    """The core takes every command, and then every invariant of its state holds."""

    def __init__(self) -> None:
        self._event_count = 0

    def take(self, batch: Batch, replay: Replay) -> bool:
        self._event_count += len(batch.events)
        return True

    def result(self, replay: Replay) -> CheckResult:
        try:
            if replay.view is not None:
                replay.view.check()
        except InvariantError as broken:
            return CheckResult(name="replay", is_ok=False, count=self._event_count, unit="events", detail=str(broken))
        return CheckResult(name="replay", is_ok=True, count=self._event_count, unit="events")


class Reference:
    """The reference says the same as the core, byte for byte, and ends in the same state."""

    def __init__(self) -> None:
        self._engine: ReferenceEngine | None = None
        self._names = Names()
        self._instrument_before = 0
        self._event_count = 0
        self.disagreement: Disagreement | None = None

    def take(self, batch: Batch, replay: Replay) -> bool:
        if self._engine is None:  # the first command of a journal comes alone, and holds the limits
            first = batch.commands[0]
            self._engine = ReferenceEngine(Limits(**{name: int(first[name]) for name in Limits.__slots__}))
        instruments = instruments_meant(batch.commands, self._instrument_before)
        self._instrument_before = int(instruments[-1])
        said = self._said(batch.commands)
        if record_bytes(said) == record_bytes(batch.events):
            self._event_count += len(said)
            self._names.learn(batch.commands, batch.events)
            return True
        same = _equal_count(batch.events, said)
        self._event_count += same
        sequence = min(int(events["sequence"][same]) for events in (batch.events, said) if same < len(events))
        index = sequence - int(batch.commands["sequence"][0])
        self._names.learn(batch.commands[: index + 1], batch.events)
        other = Batch(commands=batch.commands, events=said)
        self.disagreement = Disagreement(
            sequence=sequence,
            command=describe_commands(batch.commands[index : index + 1], self._names, instruments[index : index + 1])[0],
            core=tuple(describe_events(batch.events_of(sequence)[:_EVENT_KEPT_COUNT], self._names)),
            reference=tuple(describe_events(other.events_of(sequence)[:_EVENT_KEPT_COUNT], self._names)),
        )
        return False

    def _said(self, commands: Records) -> Records:
        """What the reference says. Before a DefineLimits it is moved to those limits, as every replay does."""
        assert self._engine is not None, "the first command made it"
        starts = np.flatnonzero(commands["kind"] == CommandKind.DEFINE_LIMITS).tolist()
        parts = []
        for start, end in pairwise(sorted({0, *starts, len(commands)})):
            if start in starts and commands[start]["reserved"] == 0:
                with contextlib.suppress(InvalidValueError):  # then it rejects the command
                    self._engine.resize(Limits(**{name: int(commands[start][name]) for name in Limits.__slots__}))
            parts.append(self._engine.apply_records(commands[start:end]))
        return join_records(parts, EVENT)

    def result(self, replay: Replay) -> CheckResult:
        detail = ""
        if self.disagreement is not None:
            detail = f"the events of command {self.disagreement.sequence:,} differ"
        elif self._engine is not None and replay.view is not None and self._engine.sequence == replay.view.sequence:
            expected, found = self._engine.state_hash, replay.view.state_hash
            if expected != found:
                detail = f"state after command {self._engine.sequence:,}: {found:016x}, of the reference {expected:016x}"
        return CheckResult(name="reference", is_ok=not detail, count=self._event_count, unit="events", detail=detail)


class Snapshots:
    """Each snapshot is whole, and is the state that the replay has there. `next` is the sequence of the next one, None after the last.

    The replay begins behind command `begin`, where that is not 0 with its snapshot, which is whole. Of older ones it only says whether
    they are whole.
    """

    def __init__(self, directory: Path, live: bool, begin: int) -> None:
        self._directory = directory
        self._live = live
        self._count = int(begin > 0)
        self._detail = ""
        self._sequence = 0
        self._finding: Finding | None = None
        found = snapshot_sequences(directory)
        self._left = [sequence for sequence in found if sequence > begin]
        for sequence in found:
            if sequence < begin and (old := inspect_snapshot(directory, sequence)) is not None and old.fault:
                self._note_broken(old)

    @property
    def next(self) -> int | None:
        return self._left[0] if self._left else None

    def take(self, batch: Batch, replay: Replay) -> bool:
        assert replay.view is not None, "a batch was applied"
        if self.next == replay.view.sequence:
            self._compare(self._left.pop(0), replay.view.state_hash, replay.report.event_hash)
        return True

    def _compare(self, sequence: int, state_hash: int, event_hash: int) -> None:
        found = inspect_snapshot(self._directory, sequence)
        if found is None:  # a server that runs has removed it meanwhile
            return
        if found.fault:
            self._note_broken(found)
        elif (found.state_hash, found.event_hash) != (state_hash, event_hash):
            detail = f"state {found.state_hash:016x} events {found.event_hash:016x}, of the replay {state_hash:016x} {event_hash:016x}"
            self._note(sequence, detail, Finding.SNAPSHOT_OTHER)
        else:
            self._count += 1

    def _note_broken(self, found: Snapshot) -> None:
        self._note(found.sequence, f"{found.fault}, at offset {found.offset:,}", Finding.SNAPSHOT_BROKEN)

    def _note(self, sequence: int, detail: str, finding: Finding) -> None:
        """The first one is kept."""
        if self._finding is None:
            self._sequence, self._detail, self._finding = sequence, f"snapshot of command {sequence:,}: {detail}", finding

    def result(self, replay: Replay) -> CheckResult:
        if self._left and not self._live and replay.is_at_end:
            self._note(self._left[0], "the journal ends before", Finding.END)
        return CheckResult(
            name="snapshots",
            is_ok=self._finding is None,
            count=self._count,
            unit="snapshots",
            detail=self._detail,
            sequence=self._sequence,
            finding=self._finding,
        )


class EventLog:
    """What the event log has is what the replay says, event by event. Where there is no log there is nothing to compare."""

    def __init__(self) -> None:
        self.fault = ""

    def take(self, batch: Batch, replay: Replay) -> bool:
        return True

    def result(self, replay: Replay) -> CheckResult:
        count = replay.report.events_checked
        if not self.fault and (damage := find_old_damage(replay.directory, "events")) is not None:
            self.fault = damage.text  # before the snapshot that the replay began with
        return CheckResult(name="events", is_ok=not self.fault, count=count, unit="events", detail=self.fault)


class Manifest:
    """Every segment that the manifest names is what it was when it was sealed. Where there is no manifest, none is named."""

    def take(self, batch: Batch, replay: Replay) -> bool:
        return True

    def result(self, replay: Replay) -> CheckResult:
        try:
            count = check_manifest(replay.directory)
        except ManifestError as error:
            return CheckResult(name="manifest", is_ok=False, count=0, unit="segments", detail=str(error))
        return CheckResult(name="manifest", is_ok=True, count=count, unit="segments")


class Audit:
    """The audit file is what was written, and is the one of the manifest. Where there is none, and no anchor of one, nothing is checked.

    `live`: a server may be writing the last line.
    """

    def __init__(self, live: bool) -> None:
        self._live = live

    def take(self, batch: Batch, replay: Replay) -> bool:
        return True

    def result(self, replay: Replay) -> CheckResult:
        try:
            found = check_audit(replay.directory)
        except (AuditIntegrityError, OSError) as error:
            return CheckResult(name="audit", is_ok=False, count=0, unit="lines", detail=str(error))
        torn = f"torn audit line: {found.torn_bytes:,} bytes, which the next start cuts off and saves to a file"
        return CheckResult(
            name="audit",
            is_ok=True,
            count=found.count,
            unit="lines",
            detail=torn if found.torn_bytes and not self._live else "",
            finding=Finding.AUDIT_TORN if found.torn_bytes and not self._live else None,
        )


def _equal_count(events: Records, others: Records) -> int:
    """How many events from the first on are equal."""
    count = min(len(events), len(others))
    words, other_words = (np.frombuffer(record_bytes(records[:count]), np.uint64).reshape(count, -1) for records in (events, others))
    differ = np.flatnonzero((words != other_words).any(axis=1))
    return int(differ[0]) if len(differ) else count
