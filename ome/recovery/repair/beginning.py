"""What a start begins with: the first segments, or the newest snapshot; and whether that and the journal belong together."""

from __future__ import annotations

from pathlib import Path

from ome.journal import JournalIntegrityError, ReplayAssertionError, Verdict
from ome.recovery import Replay
from ome.recovery.directory import segments
from ome.recovery.findings import Finding, Remedy
from ome.recovery.manifest import read_seal
from ome.recovery.repair.diagnosis import Diagnosis, begin_plan, diagnosed
from ome.recovery.repair.set_aside import BROKEN

__all__ = ["of_beginning", "of_snapshot"]


def of_beginning(source: Path | None, first: int) -> Diagnosis:
    """The first segments are not there, the journal begins with command `first`, and no snapshot is whole. `source` may have copies."""
    wrong = f"the journal begins with command {first:,}, and no snapshot is whole"
    for path in segments(source) if source is not None else []:
        seal = read_seal(path)
        if seal is not None and seal.record_count > 0 and seal.last_sequence == first - 1:
            plan = f"{path} holds the commands before and is put back: nothing is lost"
            return diagnosed(Finding.BEGINNING, Remedy.COPY, wrong, plan, copy=path)
    plan = "put the segments before back, from the archive or a backup (--from)"
    return diagnosed(Finding.BEGINNING, Remedy.NONE, wrong, plan)


def of_snapshot(directory: Path, whole: list[int], first: int) -> Diagnosis | None:
    """What is wrong where the newest snapshot and the journal do not belong together; None where they do.

    `whole` are the commands of the whole snapshots, one or more, in order; `first` is the journal's first command.
    """
    newest = whole[-1]
    with Replay(directory, snapshot=newest) as replay:
        try:
            replay.step(1)
        except ReplayAssertionError:
            return None
        except JournalIntegrityError as error:
            if error.report.verdict is Verdict.ABSENT and error.report.sequence_found == 0:
                wrong = f"the journal ends before command {newest:,}, of which there is a snapshot: its end is missing"
                plan = f"{begin_plan(newest)}; whether there were later ones nobody can say"
                return diagnosed(Finding.END, Remedy.BEGIN, wrong, plan, sequence=newest, snapshot=newest)
            wrong = f"the snapshot of command {newest:,} is not of this journal: {error}"
            if first > 1 and len(whole) == 1:
                plan = "put the segments before back, from the archive or a backup (--from)"
                return diagnosed(Finding.BEGINNING, Remedy.NONE, wrong, plan)
            plan = f"it is set aside as {BROKEN}: a start begins with the one before, or with the first command"
            return diagnosed(Finding.SNAPSHOT_OTHER, Remedy.SET_SNAPSHOT_ASIDE, wrong, plan, sequence=newest)
    return None
