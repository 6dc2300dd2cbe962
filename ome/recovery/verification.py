"""Whether a journal is what was written, and whether the engine still does with it what it did.

`verify` reads a journal once, from its beginning, and hands every batch of commands with its events to each of its `checks`. Where the
first segments are gone it begins with the oldest snapshot that they leave.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ome.journal import JournalError, JournalIntegrityError, JournalReader, JournalReport, ReplayAssertionError
from ome.recovery import Replay
from ome.recovery.checks import Applied, Audit, Check, CheckResult, Disagreement, EventLog, Manifest, Reference, Snapshots
from ome.recovery.directory import first_sequence
from ome.recovery.snapshots import replay_from_beginning

__all__ = ["Verification", "verify"]

_BATCH_COUNT: Final = 8_192  # commands; without the reference some milliseconds, with it some hundreds


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


def _replay(directory: Path, live: bool, event_log: EventLog) -> Replay:
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
    compared = Reference()
    event_log = EventLog()
    damage, unread = "", _read_before_replay(directory, live)
    with _replay(directory, live, event_log) as replay:
        begin = replay.report.snapshot_sequence
        if begin and reference:
            found = f"one that begins behind command {begin:,}"
            raise JournalError("journal", where=str(directory), found=found, allowed="all segments, which the reference needs")
        snapshots = Snapshots(directory, live, begin)
        checks: list[Check] = [
            Applied(),
            *([compared] if reference else []),
            *([] if live else [event_log]),
            snapshots,
            Manifest(),
            Audit(live),
        ]
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
