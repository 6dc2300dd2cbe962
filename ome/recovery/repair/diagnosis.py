"""What is found: `Diagnosis`, a row of the table of findings with one of its remedies; and what several findings share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ome.errors import OmeError
from ome.recovery.findings import Doer, Finding, Remedy, row_of, way_of
from ome.recovery.snapshots import inspect_snapshot

__all__ = ["Diagnosis", "Progress", "RepairError", "begin_plan", "diagnosed", "is_whole"]

Progress = Callable[[int], None]
"""Is called with the sequence reached."""


class RepairError(OmeError):
    """A repair that cannot be done, or not in this way. Nothing was changed by the step that raises it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What is `wrong`, empty where nothing is, and what the `remedy` does and loses: `plan`, a sentence. `finding` is the row of the table.

    `sequence` is that of the first command that cannot be read, of the one that trips an assertion, or of the snapshot that is not of this
    journal or broken. `snapshot` is that of the snapshot to begin behind, `copy` the good copy of a segment, `event` the number of the last
    event of the event log that is right, or of the first event of the last segment to be set aside. `damaged` are the segments that the
    manifest finds to be other than they were. `is_loss` says that the remedy is done only where somebody accepts what it loses.
    """

    finding: Finding | None
    remedy: Remedy
    wrong: str
    plan: str
    sequence: int = 0
    snapshot: int = 0
    copy: Path | None = None
    event: int = 0
    damaged: tuple[str, ...] = ()
    is_loss: bool = False

    @property
    def is_sound(self) -> bool:
        """Whether a start does all that is to be done."""
        return way_of(self.remedy).doer is Doer.START


def diagnosed(finding: Finding, remedy: Remedy, wrong: str, plan: str, **fields: Any) -> Diagnosis:
    """One that is of the table; `fields` are those of Diagnosis. Whether it loses something is in the table, unless a field says it."""
    row = row_of(finding)
    assert remedy in row.remedies, f"{finding}: {remedy} is none of its remedies"
    fields = {"is_loss": remedy in row.needs_accept} | fields
    return Diagnosis(finding=finding, remedy=remedy, wrong=wrong, plan=plan, **fields)


def begin_plan(snapshot: int) -> str:
    """What it means that the journal begins behind the snapshot of command `snapshot`."""
    return (
        f"the journal is made to begin behind the snapshot of command {snapshot:,}, which has the state: nothing that was acknowledged is "
        f"lost, but commands 1 to {snapshot:,} cannot be read any more"
    )


def is_whole(directory: Path, sequence: int) -> bool:
    """Whether there is a snapshot of that command, and it is what was written."""
    found = inspect_snapshot(directory, sequence)
    return found is not None and not found.fault
