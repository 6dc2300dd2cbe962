"""A journal that cannot be read to its end: in which segment, and whether a copy, a snapshot or only a cut helps."""

from __future__ import annotations

from pathlib import Path

from ome._native import ffi, lib
from ome.journal import JournalIntegrityError, JournalReader, JournalReport
from ome.recovery.directory import segment_first_sequence, segments
from ome.recovery.findings import Finding, Remedy
from ome.recovery.repair.copies import damaged_by_manifest, good_copy
from ome.recovery.repair.diagnosis import Diagnosis, begin_plan, diagnosed, is_whole
from ome.recovery.repair.set_aside import SET_ASIDE
from ome.recovery.snapshots import snapshot_sequences

__all__ = ["of_damage"]


def of_damage(directory: Path, source: Path | None, reader: JournalReader, error: JournalIntegrityError) -> Diagnosis:
    """The journal cannot be read to its end: `reader` has stopped, by `error`. `source` may have good copies.

    Raises JournalError for a failed call.
    """
    report = error.report
    wrong = f"damage: {error}"
    loss = ffi.new("ome_replay_loss_t *")
    status = lib.ome_replay_survey(reader.pointer, loss)
    if status == lib.OME_INVALID:
        plan = "this is no damage of bytes, and not to be repaired: another version of ome reads it, or it was written by something else"
        return diagnosed(Finding.FOREIGN, Remedy.NONE, wrong, plan)
    reader.check(status)
    damaged = damaged_by_manifest(directory)
    lost = report.sequence_expected
    # The oldest that has the state behind the damage: as much as can be stays readable. What is damaged behind it is found next.
    snapshot = next((one for one in snapshot_sequences(directory) if one >= lost and is_whole(directory, one)), None)
    finding = Finding.OLD_SEGMENT if _is_before_start(directory, report) else Finding.SEGMENT
    copy = None if source is None else good_copy(directory, source, report)
    if copy is not None:
        plan = f"{copy} is a good copy and takes its place: nothing is lost"
        return diagnosed(finding, Remedy.COPY, wrong, plan, sequence=lost, copy=copy, damaged=damaged)
    if snapshot is not None:
        return diagnosed(finding, Remedy.BEGIN, wrong, begin_plan(snapshot), sequence=lost, snapshot=snapshot, damaged=damaged)
    last = f"commands {lost:,} to {loss.last_sequence:,}" if loss.last_sequence else f"command {lost:,} and what came behind it"
    plan = (
        f"{last}, {loss.record_count:,} of them readable, are no longer part of the journal; "
        f"they are saved in files *.torn-* and *{SET_ASIDE}"
    )
    return diagnosed(finding, Remedy.CUT, wrong, plan, sequence=lost, damaged=damaged)


def _is_before_start(directory: Path, report: JournalReport) -> bool:
    """Whether the damage is in a segment that no start reads, since one behind it holds what follows the newest whole snapshot."""
    newest = next((one for one in reversed(snapshot_sequences(directory)) if is_whole(directory, one)), None)
    if newest is None:
        return False
    begins = max((one for path in segments(directory) if (one := segment_first_sequence(path.name)) <= newest + 1), default=0)
    is_missing = Path(report.path) == directory
    return (report.sequence_expected if is_missing else segment_first_sequence(Path(report.path).name)) < begins
