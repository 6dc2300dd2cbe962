"""Whether a journal is what was written, and whether the engine still does with it what it did.

`verify` reads a journal once, from its beginning, and hands every batch of commands with its events to each of its checks. Where the first
segments are gone it begins with the oldest snapshot that they leave. A check counts what it has looked at and says at the end whether it
held. A further one is a class with the methods of `Check`, and a line in `verify`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from ome.codec import EVENT, Records, join_records, record_bytes
from ome.enums import CommandKind
from ome.errors import InvalidValueError, InvariantError
from ome.journal import JournalError, JournalIntegrityError, JournalReader, JournalReport, ReplayAssertionError
from ome.messages import Limits
from ome.recovery import Batch, Replay
from ome.recovery.checker import find_old_damage
from ome.recovery.directory import first_sequence
from ome.recovery.findings import Finding
from ome.recovery.manifest import ManifestError, check_manifest
from ome.recovery.snapshots import Snapshot, inspect_snapshot, replay_from_beginning, snapshot_sequences
from ome.recovery.wording import Described, Names, describe_commands, describe_events, instruments_meant
from ome.reference import ReferenceEngine

__all__ = ["Check", "CheckResult", "Disagreement", "Verification", "verify"]

_BATCH_COUNT: Final = 8_192  # commands; without the reference some milliseconds, with it some hundreds
_EVENT_KEPT_COUNT: Final = 20  # events of each side that a disagreement shows


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What a check found: `count` things of the kind `unit` were looked at and are right; `detail` says what is wrong.

    Of a snapshot that is wrong, `sequence` is its command and `finding` says how it is wrong.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What `verify` found. `report` is where reading ended. `state_hash` is None where no command was applied.

    What came before `begins_behind` is from a snapshot, 0 where all is from the journal. `quarantined` commands count as rejected.
    """

    begins_behind: int
    quarantined: tuple[int, ...]
    checks: tuple[CheckResult, ...]
    report: JournalReport
    sequence: int
    state_hash: int | None
    event_hash: int
    disagreement: Disagreement | None

    @property
    def is_ok(self) -> bool:
        """Whether every check held."""
        return all(check.is_ok for check in self.checks)


class Check(Protocol):
    """One thing that is looked at while a journal is replayed."""

    def take(self, batch: Batch, replay: Replay) -> bool:
        """Looks at the next commands and events, which the replay has applied; False where it makes no sense to go on."""

    def result(self, replay: Replay) -> CheckResult:
        """What it found, once everything was read."""


class _Applied:
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


class _Reference:
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


class _Snapshots:
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


class _EventLog:
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


class _Manifest:
    """Every segment that the manifest names is what it was when it was sealed. Where there is no manifest, none is named."""

    def take(self, batch: Batch, replay: Replay) -> bool:
        return True

    def result(self, replay: Replay) -> CheckResult:
        try:
            count = check_manifest(replay.directory)
        except ManifestError as error:
            return CheckResult(name="manifest", is_ok=False, count=0, unit="segments", detail=str(error))
        return CheckResult(name="manifest", is_ok=True, count=count, unit="segments")


def _equal_count(events: Records, others: Records) -> int:
    """How many events from the first on are equal."""
    count = min(len(events), len(others))
    words, other_words = (np.frombuffer(record_bytes(records[:count]), np.uint64).reshape(count, -1) for records in (events, others))
    differ = np.flatnonzero((words != other_words).any(axis=1))
    return int(differ[0]) if len(differ) else count


def _replay(directory: Path, live: bool, event_log: _EventLog) -> Replay:
    """From the beginning, with every event compared with the log, unless a server is writing or the log cannot be read at all."""
    try:
        return replay_from_beginning(directory, live=live, checks_events=not live)
    except JournalIntegrityError as error:
        if not error.report.is_of_event_log:
            raise
        event_log.fault = str(error)
        return replay_from_beginning(directory, live=live)


def _read_before_replay(directory: Path, live: bool) -> JournalIntegrityError | None:
    """Where the journal's first segments are gone, its replay begins with a snapshot. The records up to that one are read only."""
    if first_sequence(directory) == 1:
        return None
    try:
        with JournalReader(directory, live=live, first=first_sequence(directory)) as reader:
            for _ in reader:
                pass
    except JournalIntegrityError as error:
        return error
    return None


def _to_next(replay: Replay, sequence: int | None) -> int:
    """How many commands to read: no further than a snapshot."""
    reached = 0 if replay.view is None else replay.view.sequence
    return _BATCH_COUNT if sequence is None else max(1, min(_BATCH_COUNT, sequence - reached))


def verify(
    directory: Path, *, live: bool = False, reference: bool = False, progress: Callable[[int], None] = lambda _: None
) -> Verification:
    """Reads and replays a journal to its end; `progress` gets the sequence reached. What does not hold is in the result, damage too.

    With `reference` every command is applied to `ome.reference` as well, which takes some 30 microseconds each.

    Raises JournalError where there is nothing to be read, or with `reference` where the journal does not begin with the first command.
    """
    compared = _Reference()
    event_log = _EventLog()
    damage, unread = "", _read_before_replay(directory, live)
    with _replay(directory, live, event_log) as replay:
        begin = replay.report.snapshot_sequence
        if begin and reference:
            found = f"one that begins behind command {begin:,}"
            raise JournalError("journal", where=str(directory), found=found, allowed="all segments, which the reference needs")
        snapshots = _Snapshots(directory, live, begin)
        checks: list[Check] = [_Applied(), *([compared] if reference else []), *([] if live else [event_log]), snapshots, _Manifest()]
        try:
            while (batch := replay.read(_to_next(replay, snapshots.next))) is not None:
                wanted = [check.take(batch, replay) for check in checks]
                if not all(wanted):
                    break
                progress(int(batch.commands["sequence"][-1]))
        except ReplayAssertionError as error:
            # The engine is lost, so no check can look at it any more.
            asserted = error.report
            passed = CheckResult(name="journal", is_ok=True, count=asserted.last_sequence - begin, unit="records")
            return Verification(
                begins_behind=begin,
                quarantined=replay.quarantined,
                checks=(passed, CheckResult(name="replay", is_ok=False, count=asserted.sequence_found, unit="commands", detail=str(error))),
                report=asserted,
                sequence=asserted.sequence_found,
                state_hash=None,
                event_hash=asserted.event_hash,
                disagreement=None,
            )
        except JournalIntegrityError as error:
            if error.report.is_of_event_log:
                event_log.fault = str(error)
            else:
                damage = str(error)
        report, view = replay.report, replay.view
        if unread is not None and not damage:
            damage, report = str(unread), unread.report
        sequence = 0 if view is None else view.sequence
        journal = CheckResult(name="journal", is_ok=not damage, count=sequence - begin, unit="records", detail=damage)
        return Verification(
            begins_behind=begin,
            quarantined=replay.quarantined,
            checks=(journal, *(check.result(replay) for check in checks)),
            report=report,
            sequence=sequence,
            state_hash=None if view is None else view.state_hash,
            event_hash=report.event_hash,
            disagreement=compared.disagreement,
        )
