"""Whether a journal is what was written, and whether the engine still does with it what it did.

`verify` reads a journal once, from its beginning, and hands every batch of commands with its events to each of its checks. A check counts
what it has looked at and says at the end whether it held. A further one is a class with the methods of `Check`, and a line in `verify`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from ome.codec import Records, record_bytes
from ome.errors import InvariantError
from ome.journal import JournalIntegrityError, JournalReport, ReplayAssertionError
from ome.messages import Limits
from ome.recovery import Batch, Replay
from ome.recovery.wording import Described, Names, describe_commands, describe_events, instruments_meant
from ome.reference import ReferenceEngine

__all__ = ["Check", "CheckResult", "Disagreement", "Verification", "verify"]

_BATCH_COUNT: Final = 8_192  # commands; without the reference some milliseconds, with it some hundreds
_EVENT_KEPT_COUNT: Final = 20  # events of each side that a disagreement shows


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What a check found: `count` things of the kind `unit` were looked at and are right; `detail` says what is wrong."""

    name: str
    is_ok: bool
    count: int
    unit: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """A command to which another engine says something else: the first events of each from where they part."""

    sequence: int
    command: Described
    core: tuple[Described, ...]
    reference: tuple[Described, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What `verify` found. `report` is where reading ended. `state_hash` is None where no command was applied."""

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

    def take(self, batch: Batch) -> bool:
        """Looks at the next commands and events, which the replay has applied; False where it makes no sense to go on."""

    def result(self, replay: Replay) -> CheckResult:
        """What it found, once everything was read."""


class _Applied:
    """The core takes every command, and then every invariant of its state holds."""

    def __init__(self) -> None:
        self._event_count = 0

    def take(self, batch: Batch) -> bool:
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

    def take(self, batch: Batch) -> bool:
        if self._engine is None:  # the first command of a journal comes alone, and holds the limits
            first = batch.commands[0]
            self._engine = ReferenceEngine(Limits(**{name: int(first[name]) for name in Limits.__slots__}))
        self._names.learn(batch.commands)
        instruments = instruments_meant(batch.commands, self._instrument_before)
        self._instrument_before = int(instruments[-1])
        said = self._engine.apply_records(batch.commands)
        if record_bytes(said) == record_bytes(batch.events):
            self._event_count += len(said)
            return True
        same = _equal_count(batch.events, said)
        self._event_count += same
        sequence = min(int(events["sequence"][same]) for events in (batch.events, said) if same < len(events))
        index = sequence - int(batch.commands["sequence"][0])
        other = Batch(commands=batch.commands, events=said)
        self.disagreement = Disagreement(
            sequence=sequence,
            command=describe_commands(batch.commands[index : index + 1], self._names, instruments[index : index + 1])[0],
            core=tuple(describe_events(batch.events_of(sequence)[:_EVENT_KEPT_COUNT], self._names)),
            reference=tuple(describe_events(other.events_of(sequence)[:_EVENT_KEPT_COUNT], self._names)),
        )
        return False

    def result(self, replay: Replay) -> CheckResult:
        detail = ""
        if self.disagreement is not None:
            detail = f"the events of command {self.disagreement.sequence:,} differ"
        elif self._engine is not None and replay.view is not None and self._engine.sequence == replay.view.sequence:
            expected, found = self._engine.state_hash, replay.view.state_hash
            if expected != found:
                detail = f"state after command {self._engine.sequence:,}: {found:016x}, of the reference {expected:016x}"
        return CheckResult(name="reference", is_ok=not detail, count=self._event_count, unit="events", detail=detail)


def _equal_count(events: Records, others: Records) -> int:
    """How many events from the first on are equal."""
    count = min(len(events), len(others))
    words, other_words = (np.frombuffer(record_bytes(records[:count]), np.uint64).reshape(count, -1) for records in (events, others))
    differ = np.flatnonzero((words != other_words).any(axis=1))
    return int(differ[0]) if len(differ) else count


def verify(
    directory: Path, *, live: bool = False, reference: bool = False, progress: Callable[[int], None] = lambda _: None
) -> Verification:
    """Reads and replays a journal to its end; `progress` gets the sequence reached. What does not hold is in the result, damage too.

    With `reference` every command is applied to `ome.reference` as well, which takes some 30 microseconds each.

    Raises JournalError where there is nothing to be read.
    """
    compared = _Reference()
    checks: list[Check] = [_Applied(), *([compared] if reference else [])]
    damage = ""
    with Replay(directory, live=live) as replay:
        try:
            for batch in replay.batches(_BATCH_COUNT):
                wanted = [check.take(batch) for check in checks]
                if not all(wanted):
                    break
                progress(int(batch.commands["sequence"][-1]))
        except ReplayAssertionError as error:
            # The engine is lost, so no check can look at it any more.
            asserted = error.report
            passed = CheckResult(name="journal", is_ok=True, count=asserted.last_sequence, unit="records")
            return Verification(
                checks=(passed, CheckResult(name="replay", is_ok=False, count=asserted.sequence_found, unit="commands", detail=str(error))),
                report=asserted,
                sequence=asserted.sequence_found,
                state_hash=None,
                event_hash=asserted.event_hash,
                disagreement=None,
            )
        except JournalIntegrityError as error:
            damage = str(error)
        report, view = replay.report, replay.view
        sequence = 0 if view is None else view.sequence
        journal = CheckResult(name="journal", is_ok=not damage, count=sequence, unit="records", detail=damage)
        return Verification(
            checks=(journal, *(check.result(replay) for check in checks)),
            report=report,
            sequence=sequence,
            state_hash=None if view is None else view.state_hash,
            event_hash=report.event_hash,
            disagreement=compared.disagreement,
        )
