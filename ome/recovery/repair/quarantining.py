"""A command that trips an assertion of the core is made one that is rejected, by a decision that every reader obeys."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ome._native import lib
from ome.journal import DecisionKind, JournalIntegrityError, JournalReader, ReplayAssertionError
from ome.recovery import Replay
from ome.recovery.repair.diagnosis import Progress, RepairError
from ome.recovery.repair.remedies import cut_events, decide

__all__ = ["quarantine"]


def quarantine(directory: Path, sequence: int, *, prepare: Callable[[], None] = lambda: None, progress: Progress = lambda _: None) -> None:
    """Makes of the command that trips an assertion one that is rejected, by a decision on disk. `prepare` is called before.

    Raises RepairError, with nothing changed, unless a replay as a start does it trips an assertion at exactly this command, and does not
    where the command is rejected.
    """
    tripping = _tripping(directory, None, progress)
    if tripping != sequence:
        found = "none" if tripping is None else f"command {tripping:,}"
        raise RepairError("command that trips an assertion", where=str(directory), found=found, allowed=f"command {sequence:,}")
    with JournalReader(directory, first=sequence) as reader:
        reader.read(1)
        checksum = reader.report.record_checksum
    try:
        still = _tripping(directory, (sequence, checksum), progress)
    except JournalIntegrityError as error:
        raise RepairError("journal", where=str(directory), found=str(error), allowed="one that goes on without the command") from None
    if still is not None and still <= sequence:
        allowed = "one that does not when the command is rejected: its time alone does it"
        raise RepairError("assertion", where=str(directory), found=f"tripped at command {still:,}", allowed=allowed)
    prepare()
    decide(directory, DecisionKind.QUARANTINE, sequence, checksum)
    _bring_events_in_line(directory)


def _tripping(directory: Path, supposed: tuple[int, int] | None, progress: Progress) -> int | None:
    """The command that trips an assertion, if one does; `supposed` is sequence and checksum of one that counts as quarantined."""
    with Replay(directory, from_snapshot=True) as replay:
        if supposed is not None:
            lib.ome_replay_suppose(replay.pointer, *supposed)
        try:
            replay.run(to=None if supposed is None else supposed[0], progress=progress)
        except ReplayAssertionError as error:
            return error.report.sequence_found
    return None


def _bring_events_in_line(directory: Path) -> None:
    """What the event log has of a command that says something else now, and behind it, is cut off."""
    try:
        with Replay(directory, from_snapshot=True, checks_events=True) as replay:
            replay.run()
    except ReplayAssertionError:
        return  # another command: it is not this one's business
    except JournalIntegrityError as error:
        if not error.report.is_of_event_log:
            raise
        cut_events(directory, error.report.events_right)
