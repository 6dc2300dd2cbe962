"""Taking the oldest segments out of a journal's directory: to an archive, or away. Never by itself, and never what would leave a hole.

A segment may go when every record of it is older than the sequence given, and older than the last command of the oldest snapshot, so that a
start from any snapshot finds what it needs; another segment follows it, it is sealed, the manifest names it, and its bytes are those that
the manifest's digest is of. The manifest keeps the lines of what is gone.

Segments of the event log go along: those whose events are all of commands older than that. They are sealed, and in no manifest.
"""

from __future__ import annotations

import errno
import os
import shutil
import struct
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ome.errors import OmeError
from ome.recovery.directory import segment_first_sequence, segments, sync_directory
from ome.recovery.manifest import ManifestLine, Seal, check_segment, digest_of, is_of_line, read_manifest, read_seal
from ome.recovery.snapshots import snapshot_sequences

__all__ = ["ArchiveError", "Archived", "archive_segments"]

_TEMPORARY_SUFFIX = ".tmp"
_SEAL_SIZE = 42  # of a segment, behind its last record
_EVENT_SIZE = 68  # of an event's data, which begins with the sequence of its command, and of the checksum behind it


class ArchiveError(OmeError):
    """A segment may not be taken away, or not to that place. Nothing was changed from it on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archived:
    """What was taken away, or would be: the names, in order, and the first sequence of the journal that is left."""

    names: tuple[str, ...]
    first_sequence: int


def archive_segments(directory: Path, *, before: int, target: Path | None, dry_run: bool = False) -> Archived:
    """Moves the segments whose records are all older than sequence `before` to `target`, oldest first; removes them where that is None.

    What a snapshot needs stays whatever `before` is. Raises ArchiveError where there is no snapshot.

    Each is in its new place, on disk, before it is gone from the old one; after a crash the next call goes on. The last segment always
    stays. With `dry_run` nothing is done but all is checked.

    Raises ArchiveError, ManifestError where a segment is not what the manifest says, or OSError.
    """
    found = segments(directory)
    if not found:
        raise ArchiveError("journal", where=str(directory), found="no segment", allowed="files journal-<first sequence>.ome")
    if target is not None and target.exists() and (not target.is_dir() or target.samefile(directory)):
        raise ArchiveError("archive", found=str(target), allowed="another directory, or none yet")
    kept = snapshot_sequences(directory)
    if not kept:
        raise ArchiveError(
            "snapshots", where=str(directory), found="none", allowed="one at least, which a start begins with (ome-admin snapshot)"
        )
    before = min(before, kept[0])
    going = [path for path, after in pairwise(found) if segment_first_sequence(after.name) <= before]
    lines = {line.name: line for line in read_manifest(directory)[0]}
    events = _events_before(directory, before)
    for path in going:
        _check_may_go(path, lines.get(path.name), target)
    for path, line in events.items():
        _check_may_go(path, line, target)
    lines |= {path.name: line for path, line in events.items()}
    left = found[len(going)]
    going += events
    if not dry_run and going:
        if target is not None:
            target.mkdir(parents=True, exist_ok=True)
        for path in going:
            if target is not None:
                _copy_or_rename(path, target / path.name, lines[path.name])
            path.unlink(missing_ok=True)
            sync_directory(directory)
    return Archived(names=tuple(path.name for path in going), first_sequence=segment_first_sequence(left.name))


def _events_before(directory: Path, before: int) -> dict[Path, ManifestLine]:
    """The segments of the event log whose events are all of commands older than that, each with a line as in a manifest."""
    going: dict[Path, ManifestLine] = {}
    for path in segments(directory, "events")[:-1]:
        seal = read_seal(path)
        if seal is None or _last_command(path, seal) >= before:
            break
        going[path] = ManifestLine(name=path.name, size_bytes=seal.end, digest=digest_of(path, seal.end))
    return going


def _last_command(path: Path, seal: Seal) -> int:
    """Of the last event of a segment; 0 where it has none."""
    if seal.record_count == 0:
        return 0
    with path.open("rb") as file:
        file.seek(seal.end - _SEAL_SIZE - _EVENT_SIZE)
        return int(struct.unpack("<Q", file.read(8))[0])


def _check_may_go(path: Path, line: ManifestLine | None, target: Path | None) -> None:
    if read_seal(path) is None:
        raise ArchiveError("segment", where=str(path), found="no seal of format version 2", allowed="segments that are sealed")
    if line is None:
        raise ArchiveError("segment", where=str(path), found="no line in the manifest", allowed="segments that the manifest names")
    check_segment(path, line)
    if target is not None and (target / path.name).exists() and not is_of_line(target / path.name, line):
        raise ArchiveError("archive", where=str(target / path.name), found="another file of that name", allowed="none, or the same bytes")


def _copy_or_rename(path: Path, to: Path, line: ManifestLine) -> None:
    """Makes the segment be at `to`, on disk; it may be gone from `path` then. By renaming it, where that is possible."""
    if to.exists():  # copied by a call that died before it removed the original
        sync_directory(to.parent)
        return
    try:
        path.rename(to)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        temporary = to.with_name(to.name + _TEMPORARY_SUFFIX)
        shutil.copyfile(path, temporary)
        with temporary.open("r+b") as file:
            os.fsync(file.fileno())
        check_segment(temporary, line)
        temporary.rename(to)
    sync_directory(to.parent)
