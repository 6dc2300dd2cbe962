"""The manifest and copies of segments: which segments are not what was sealed, and which copy may take whose place."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ome.journal import JournalIntegrityError, JournalReader, JournalReport
from ome.recovery.directory import first_sequence, segment_first_sequence, segments
from ome.recovery.findings import Finding, Remedy
from ome.recovery.manifest import (
    MANIFEST_FILE,
    ManifestError,
    ManifestLine,
    check_manifest,
    check_segment,
    read_entries,
    read_seal,
    remake_lines,
)
from ome.recovery.repair.diagnosis import Diagnosis, diagnosed
from ome.recovery.repair.set_aside import SET_ASIDE

__all__ = ["damaged_by_manifest", "good_copy", "manifest_lines", "of_manifest"]


def manifest_lines(directory: Path) -> list[ManifestLine]:
    """All lines of the manifest, anchors too; none where it cannot be read."""
    try:
        return read_entries(directory)[0]
    except ManifestError:
        return []


def damaged_by_manifest(directory: Path) -> tuple[str, ...]:
    """The segments whose bytes are not those that the manifest has the digest of, or that are missing; what was archived is not."""
    lines = [line for line in manifest_lines(directory) if not line.is_anchor]
    archived = next((index for index, line in enumerate(lines) if (directory / line.name).exists()), len(lines))
    return tuple(line.name for line in lines[archived:] if not _fits(directory / line.name, line))


def _fits(path: Path, line: ManifestLine) -> bool:
    try:
        check_segment(path, line)
    except ManifestError:
        return False
    return True


def of_manifest(directory: Path, source: Path | None) -> Diagnosis | None:
    """What is wrong with the manifest, or with what it names; None where nothing is. `source` may have good copies."""
    try:
        check_manifest(directory)
    except ManifestError as error:
        wrong = str(error)
        if remake_lines(directory)[1]:
            plan = "it is made again from the segments, which are those that it was made of; the damaged one is set aside: nothing is lost"
            return diagnosed(Finding.MANIFEST, Remedy.NEW_MANIFEST, wrong, plan)
        damaged = damaged_by_manifest(directory)
        lines = {line.name: line for line in manifest_lines(directory)}
        copy = next((source / name for name in damaged if source is not None and _fits(source / name, lines[name])), None)
        if copy is not None:
            plan = f"{copy} has the digest of the manifest and takes its place: nothing is lost"
            return diagnosed(Finding.CHANGED, Remedy.COPY, wrong, plan, copy=copy, damaged=damaged)
        plan = (
            "the journal can be read, and is not the one of the manifest: only a copy whose digest is right heals this (--from). "
            f"Without one the manifest is set aside ({MANIFEST_FILE}{SET_ASIDE}), and a new one begins with the segments as they are: "
            "what they were is no longer proven"
        )
        return diagnosed(Finding.CHANGED, Remedy.NEW_MANIFEST, wrong, plan, damaged=damaged)
    return None


def good_copy(directory: Path, source: Path, report: JournalReport) -> Path | None:
    """A copy of the segment that the damage is in, or that is missing, with which the journal can be read further."""
    is_missing = Path(report.path) == directory
    name = f"journal-{report.sequence_expected:020d}.ome" if is_missing else Path(report.path).name
    copy = source / name
    line = next((line for line in manifest_lines(directory) if line.name == name), None)
    if not copy.is_file() or read_seal(copy) is None or (line is not None and not _fits(copy, line)):
        return None
    with tempfile.TemporaryDirectory() as trial:
        for path in (*segments(directory), *directory.glob("decisions-*.ome")):
            (Path(trial) / path.name).symlink_to(path.resolve())
        (Path(trial) / name).unlink(missing_ok=True)
        (Path(trial) / name).symlink_to(copy.resolve())
        with JournalReader(trial, first=min(first_sequence(directory), segment_first_sequence(name))) as reader:
            try:
                for _ in reader:
                    pass
            except JournalIntegrityError as error:
                found = error.report
                return copy if found.sequence_expected > report.sequence_expected and Path(found.path).name != name else None
    return copy
