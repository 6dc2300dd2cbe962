"""The directory of a journal: whether there is one, whether a server writes it, and which command was the last at a moment."""

from __future__ import annotations

import os
import struct
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from ome import lock
from ome.journal import JournalError, JournalReader
from ome.metrics import Counters, CountersError

__all__ = [
    "command_count",
    "first_sequence",
    "hold",
    "is_served",
    "last_sequence_until",
    "require_journal",
    "segment_first_sequence",
    "segments",
    "sync_directory",
]

_HEADER_SIZE = 4_096  # of a segment
_RECORD_SIZE = 74  # of a command in a segment
_PREFIX = struct.Struct("<Q2xI")  # of a record: sequence and length
_BODY_SIZE = 56


def segments(directory: Path, kind: str = "journal") -> list[Path]:
    """The segments of the journal, or of another kind, `events`, in order."""
    return sorted(directory.glob(f"{kind}-{'[0-9]' * 20}.ome"))


def segment_first_sequence(name: str) -> int:
    """The first sequence of the segment of that name.

    >>> segment_first_sequence("journal-00000000000000000042.ome")
    42
    """
    return int(name.partition("-")[2].removesuffix(".ome"))


def first_sequence(directory: Path) -> int:
    """With which command the journal begins: 1, or a later one where the first segments were archived or set aside."""
    return next((segment_first_sequence(path.name) for path in segments(directory)), 1)


def sync_directory(directory: Path) -> None:
    """Names that were made, changed or removed in the directory are on disk when this returns."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_journal(directory: Path) -> None:
    """Raises JournalError where the directory has no segment of a journal, which nobody means to look at."""
    if not segments(directory):
        raise JournalError("journal", where=str(directory), found="no segment", allowed="files journal-<first sequence>.ome")


def command_count(directory: Path) -> int:
    """How many commands the journal has, found by looking here and there in its last segment: what a progress bar goes up to."""
    found = segments(directory)
    if not found:
        return 0
    path = found[-1]
    first, room = segment_first_sequence(path.name), max(0, path.stat().st_size - _HEADER_SIZE) // _RECORD_SIZE
    with path.open("rb") as file:

        def is_beyond(index: int) -> bool:
            file.seek(_HEADER_SIZE + index * _RECORD_SIZE)
            return _PREFIX.unpack(file.read(_PREFIX.size)) != (first + index, _BODY_SIZE)

        return first - 1 + bisect_left(range(room), True, key=is_beyond)


def is_served(directory: Path) -> bool:
    """Whether a server runs on the directory, so that its journal is to be read live."""
    try:
        with Counters(directory) as counters:
            return counters.is_running()
    except CountersError:
        return False


@contextmanager
def hold(directory: Path) -> Iterator[None]:
    """Keeps a directory from everybody else, as a server does, for as long as the block runs. Raises JournalError where another has it."""
    with ExitStack() as stack:
        try:
            stack.enter_context(lock.hold(directory))
        except lock.DirectoryInUseError as error:
            raise JournalError(error.what, where=error.where, found=error.found, allowed=error.allowed) from None
        except OSError as error:
            raise JournalError("directory", where=str(directory), found=str(error), allowed="a directory that can be written to") from None
        yield


def last_sequence_until(directory: Path, time_ns: int, *, live: bool = False) -> int:
    """The sequence of the command before the first whose timestamp is later than `time_ns`: that before the first of all where it is that.

    Reads up to there. Raises JournalError or JournalIntegrityError.
    """
    with JournalReader(directory, live=live, first=first_sequence(directory)) as reader:
        for commands in reader:
            later = np.flatnonzero(commands["timestamp_ns"] > np.uint64(time_ns))
            if len(later):
                return int(commands["sequence"][later[0]]) - 1
        return reader.report.last_sequence
