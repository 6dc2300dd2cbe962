"""What a repair does: each remedy of the table that is done by a repair, as steps that may be interrupted and repeated."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from ome._native import ffi, lib
from ome.audit import AUDIT_FILE
from ome.journal import DecisionKind, JournalError, JournalIntegrityError, JournalReader
from ome.recovery import Replay
from ome.recovery.audit_check import begin_audit
from ome.recovery.directory import first_sequence, segment_first_sequence, segments, sync_directory
from ome.recovery.findings import Remedy
from ome.recovery.manifest import MANIFEST_FILE, append_manifest, remake_lines, replace_manifest
from ome.recovery.repair.copies import manifest_lines
from ome.recovery.repair.diagnosis import Diagnosis, RepairError
from ome.recovery.repair.set_aside import BROKEN, SET_ASIDE, free_path, rename, set_aside
from ome.recovery.snapshots import snapshot_path, snapshot_sequences

__all__ = ["REMEDIES", "apply_remedy", "cut_events", "decide"]

_NEW_SEGMENT: Final = "journal-new.tmp"


def _put_copy(directory: Path, found: Diagnosis) -> None:
    """The copy is whole and on disk before it has the name; the segment that it replaces keeps another."""
    copy = found.copy
    assert copy is not None, "the diagnosis has it"
    target, new = directory / copy.name, directory / _NEW_SEGMENT
    shutil.copyfile(copy, new)
    with new.open("r+b") as file:
        os.fsync(file.fileno())
    if target.exists():
        os.link(target, free_path(target, SET_ASIDE))
    new.replace(target)
    sync_directory(directory)


def _begin_behind(directory: Path, snapshot: int) -> None:
    """What the manifest says of segments that are no part of the journal any more proves nothing: a new one begins with what is left."""
    manifest = directory / MANIFEST_FILE
    kept = rename(manifest, SET_ASIDE) if manifest.exists() else None
    with Replay(directory, snapshot=snapshot) as replay:
        status = lib.ome_replay_begin_journal(replay.pointer)
        if status in (lib.OME_DAMAGED, lib.OME_UNSUPPORTED):
            if kept is not None:
                kept.rename(manifest)
            raise RepairError(
                "journal",
                where=str(directory),
                found=replay.report.reason,
                allowed=f"records that follow the snapshot of command {snapshot:,}",
            )
        replay.check(status)
    decide(directory, DecisionKind.BEGIN, snapshot + 1)
    if kept is not None:
        append_manifest(directory)


def _cut(directory: Path, sequence: int) -> None:
    """The decision comes first: one about a command that is cut off must not be taken for one about that which gets its sequence."""
    has_manifest = (directory / MANIFEST_FILE).exists()
    with JournalReader(directory, first=first_sequence(directory)) as reader:
        try:
            for _ in reader:
                pass
        except JournalIntegrityError as error:
            if error.report.sequence_expected != sequence:
                raise
        decide(directory, DecisionKind.CUT, sequence)
        place = Path(reader.report.path)
        if has_manifest:
            _cut_manifest(directory, sequence if place == directory else segment_first_sequence(place.name))
        for one in snapshot_sequences(directory):
            if one >= sequence:
                rename(snapshot_path(directory, one), SET_ASIDE)
        reader.check(lib.ome_replay_cut(reader.pointer))
    if has_manifest:
        append_manifest(directory)


def _cut_manifest(directory: Path, first: int) -> None:
    """Leaves the lines of the segments before that which begins with `first`."""
    lines = manifest_lines(directory)
    left = list(itertools.takewhile(lambda line: line.is_anchor or line.first_sequence < first, lines))
    manifest = directory / MANIFEST_FILE
    os.link(manifest, free_path(manifest, SET_ASIDE))
    replace_manifest(directory, left)


def cut_events(directory: Path, event: int) -> None:
    """Makes the event log end behind `event`, 0 where no event is right: then no segment is.

    Raises JournalError where the log cannot be cut.
    """
    status = lib.ome_event_log_cut(os.fsencode(directory), event)
    if status == lib.OME_NOT_FOUND:
        set_aside(segments(directory, "events"))
    elif status != lib.OME_OK:
        found = os.strerror(ffi.errno) if status == lib.OME_IO_ERROR else f"status {status}"
        raise JournalError("event log", where=str(directory), found=found, allowed="segments that can be read and cut")


def _new_manifest(directory: Path) -> None:
    lines, _ = remake_lines(directory)
    os.link(directory / MANIFEST_FILE, free_path(directory / MANIFEST_FILE, SET_ASIDE))
    replace_manifest(directory, lines)


def decide(directory: Path, kind: DecisionKind, sequence: int, checksum: int = 0) -> None:
    """Makes a decision about the command of that sequence, on disk when this returns; `checksum` is that of its record, where it counts.

    Raises RepairError where no decision can be added.
    """
    status = lib.ome_decision_make(os.fsencode(directory), kind, sequence, checksum)
    if status != lib.OME_OK:
        reasons = {lib.OME_FULL: "1,024 of them", lib.OME_IO_ERROR: os.strerror(ffi.errno)}
        found = reasons.get(status, f"status {status}")
        raise RepairError("decisions", where=str(directory), found=found, allowed="decisions that one more can be added to")


def _set_events_aside(directory: Path, found: Diagnosis) -> None:
    set_aside(path for path in segments(directory, "events") if segment_first_sequence(path.name) <= found.event)


def _set_audit_aside(directory: Path, found: Diagnosis) -> None:
    """The file keeps all its bytes under another name; the first line of the new one names that."""
    path = directory / AUDIT_FILE
    kept = rename(path, SET_ASIDE).name if path.exists() else None
    begin_audit(directory, act=Remedy.SET_AUDIT_ASIDE.value, set_aside=kept, wrong=found.wrong)


REMEDIES: Final[Mapping[Remedy, Callable[[Path, Diagnosis], object]]] = {
    Remedy.COPY: _put_copy,
    Remedy.BEGIN: lambda directory, found: _begin_behind(directory, found.snapshot),
    Remedy.CUT: lambda directory, found: _cut(directory, found.sequence),
    Remedy.CUT_EVENTS: lambda directory, found: cut_events(directory, found.event),
    Remedy.SET_EVENTS_ASIDE: _set_events_aside,
    Remedy.SET_SNAPSHOT_ASIDE: lambda directory, found: rename(snapshot_path(directory, found.sequence), BROKEN),
    Remedy.SET_DECISIONS_ASIDE: lambda directory, found: set_aside(segments(directory, "decisions")),
    Remedy.NEW_MANIFEST: lambda directory, found: _new_manifest(directory),
    Remedy.SET_AUDIT_ASIDE: _set_audit_aside,
}
"""How each remedy that a repair does is done; which these are, `findings.WAYS` says."""


def apply_remedy(directory: Path, found: Diagnosis) -> None:
    """Does what the diagnosis says. May be interrupted and repeated.

    Raises RepairError where it cannot be done, JournalError for a failed call, or OSError.
    """
    if found.remedy not in REMEDIES:
        raise RepairError("repair", where=str(directory), found=found.remedy.value, allowed="a remedy that a repair can do")
    REMEDIES[found.remedy](directory, found)
