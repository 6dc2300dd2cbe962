"""An event log that is not what the journal gives: where it is right last, and whether it is cut there or set aside up to there."""

from __future__ import annotations

from pathlib import Path

from ome.journal import DecisionKind, JournalReader, JournalReport
from ome.recovery.directory import first_sequence, segment_first_sequence, segments
from ome.recovery.findings import Finding, Remedy
from ome.recovery.repair.diagnosis import Diagnosis, diagnosed
from ome.recovery.repair.set_aside import SET_ASIDE
from ome.recovery.snapshots import inspect_snapshot, snapshot_sequences

__all__ = ["of_damaged_events", "of_event_log"]


def of_event_log(directory: Path, report: JournalReport, wrong: str, *, is_old: bool) -> Diagnosis:
    """The journal is whole, and its event log is not what it gives: `wrong` says how, `report` where.

    `is_old` says that a start does not come to it.
    """
    event = report.events_right
    plan = (
        f"the event log is made to end behind event {event:,}, and the next start completes it from the journal; "
        f"what is cut off is saved in files *.torn-* and *{SET_ASIDE}"
    )
    if event == 0:
        plan = f"no event of it is right: the event log is set aside, in files *{SET_ASIDE}, and a new one begins with the next event"
    if report.events_ahead > 0:
        with JournalReader(directory) as reader:
            is_cut = any(made.kind is DecisionKind.CUT and made.sequence == report.last_sequence + 1 for made in reader.decisions)
        if not is_cut:
            plan = (
                "its last segments from a backup heal this, put in place by hand; "
                f"without them {plan}, and what the journal lost stays lost"
            )
        return diagnosed(Finding.EVENTS_AHEAD, Remedy.CUT_EVENTS, wrong, plan, event=event, is_loss=not is_cut)
    if report.events_differ:
        return diagnosed(Finding.EVENTS_DIFFER, Remedy.CUT_EVENTS, wrong, plan, event=event)
    finding = Finding.OLD_EVENTS if is_old else Finding.EVENTS
    if event > 0 and (first_sequence(directory) == 1 or _has_snapshot_before(directory, event)):
        return diagnosed(finding, Remedy.CUT_EVENTS, wrong, plan, event=event)
    damaged = Path(report.path).name if Path(report.path) != directory else f"events-{report.sequence_expected:020d}.ome"
    return of_damaged_events(finding, directory, wrong, damaged)


def of_damaged_events(finding: Finding, directory: Path, wrong: str, damaged: str) -> Diagnosis:
    """The segment named `damaged` is wrong, and its events cannot be made again: it and those before it are set aside."""
    left = any(path.name > damaged for path in segments(directory, "events"))
    plan = f"the event log is set aside up to and with {damaged}, in files *{SET_ASIDE}, and "
    plan += "begins behind it" if left else "a new one begins with the next event"
    return diagnosed(finding, Remedy.SET_EVENTS_ASIDE, wrong, plan, event=segment_first_sequence(damaged))


def _has_snapshot_before(directory: Path, event: int) -> bool:
    """Whether the events behind this one can be made again, beginning with a snapshot."""
    found = (inspect_snapshot(directory, sequence) for sequence in snapshot_sequences(directory))
    return any(one is not None and not one.fault and one.event_count <= event for one in found)
