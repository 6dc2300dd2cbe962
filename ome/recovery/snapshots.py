"""The snapshots of a directory: which there are, whether one is whole, what a replay begins with, and a new one on demand."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ome._native import ffi, lib
from ome.journal import JournalError, JournalIntegrityError, text_of
from ome.lock import NoAnswerError, ask
from ome.recovery import Replay
from ome.recovery.directory import command_count, first_sequence, hold, is_served, require_journal

__all__ = [
    "REQUEST_FILE",
    "MadeSnapshot",
    "Snapshot",
    "inspect_snapshot",
    "make_snapshot",
    "replay_from_beginning",
    "replays_behind_snapshots",
    "snapshot_path",
    "snapshot_sequences",
]

REQUEST_FILE: Final = "snapshot.request"
"""Whoever makes this file in a server's directory asks for a snapshot; it is gone when there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What a snapshot says of itself. `fault`, empty where it is whole, is what is wrong at `offset`; then hashes and count say nothing."""

    sequence: int
    state_hash: int
    event_hash: int
    event_count: int
    fault: str
    offset: int


def snapshot_sequences(directory: Path) -> list[int]:
    """The sequences of the snapshots in a directory, in order."""
    return sorted(int(path.stem.removeprefix("snapshot-")) for path in directory.glob(f"snapshot-{'[0-9]' * 20}.ome"))


def snapshot_path(directory: Path, sequence: int) -> Path:
    """The file of the snapshot of a sequence."""
    return directory / f"snapshot-{sequence:020d}.ome"


def inspect_snapshot(directory: Path, sequence: int) -> Snapshot | None:
    """Restores the snapshot of a sequence, looks and forgets it; None where it is not there. Changes nothing.

    Raises JournalError where it cannot be read.
    """
    look = ffi.new("ome_snapshot_view_t *")
    status = lib.ome_snapshot_inspect(os.fsencode(directory), sequence, look)
    if status == lib.OME_NOT_FOUND:
        return None
    if status not in (lib.OME_OK, lib.OME_DAMAGED, lib.OME_UNSUPPORTED):
        found = os.strerror(ffi.errno) if status == lib.OME_IO_ERROR else f"status {status}"
        raise JournalError("snapshot", where=str(snapshot_path(directory, sequence)), found=found, allowed="a file that can be read")
    return Snapshot(
        sequence=sequence,
        state_hash=look.state_hash,
        event_hash=look.event_hash,
        event_count=look.event_count,
        fault=text_of(look.reason),
        offset=look.offset,
    )


def replay_from_beginning(directory: Path, *, live: bool = False, checks_events: bool = False) -> Replay:
    """A replay of all that is there: from the first command, or where the first segments are gone behind the oldest snapshot left.

    Its `report.snapshot_sequence` says behind which command, 0 for from the first. Raises as Replay, which then is told where the journal
    begins.
    """
    first = first_sequence(directory)
    left = [sequence for sequence in snapshot_sequences(directory) if first > 1 and sequence >= first - 1]
    whole = (sequence for sequence in left if (found := inspect_snapshot(directory, sequence)) is not None and not found.fault)
    return Replay(directory, live=live, snapshot=next(whole, 0), checks_events=checks_events)


def replays_behind_snapshots(directory: Path) -> Iterator[Replay]:
    """Live replays that begin behind a snapshot, the newest first, each with its engine. Close those that you do not use.

    A server removes old snapshots meanwhile: one that is gone, or that is broken, is left out, for there is an older beginning.
    """
    for sequence in reversed(snapshot_sequences(directory)):
        try:
            replay = Replay(directory, live=True, snapshot=sequence)
        except (JournalError, JournalIntegrityError):
            continue
        yield replay


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeSnapshot:
    """A snapshot that was asked for."""

    path: str
    sequence: int
    size_bytes: int
    seconds: float


def make_snapshot(directory: Path, timeout: float) -> MadeSnapshot:
    """Makes a snapshot of the journal in `directory`: asks the server that runs on it, for at most `timeout` seconds, or replays it.

    Raises JournalError where there is none, or it takes longer; JournalIntegrityError where the journal is damaged.
    """
    start = time.perf_counter()
    require_journal(directory)
    wanted = command_count(directory)
    if is_served(directory):
        try:
            ask(directory / REQUEST_FILE, "", timeout)
        except NoAnswerError as error:
            raise JournalError("snapshot", where=error.where, found=error.found, allowed=error.allowed) from None
    else:
        with hold(directory), Replay(directory, from_snapshot=True, sets_aside=True) as replay:
            replay.run()
            replay.snapshot()
    made = snapshot_sequences(directory)
    if not made or made[-1] < wanted:
        found = f"one of command {made[-1]:,}" if made else "none"
        allowed = f"one of command {wanted:,} or later; the server's log says why there is none"
        raise JournalError("snapshot", where=str(directory), found=found, allowed=allowed)
    path = snapshot_path(directory, made[-1])
    return MadeSnapshot(path=str(path), sequence=made[-1], size_bytes=path.stat().st_size, seconds=time.perf_counter() - start)
