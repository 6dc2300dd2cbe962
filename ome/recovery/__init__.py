"""From a journal to an engine: replay, with progress, and the exact place where a journal is not what was written.

What reads journals further: `directory` (is there one, does a server write it), `wording` (records as text), `listing` (the commands
that are asked for), `state` (the books at a command), `verification`, `difference` (of two journals), `export` (Parquet).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ome._native import CData, ffi, lib
from ome.codec import EVENT, RECORD_SIZE, Records
from ome.engine import EngineView, limits_of, misfit
from ome.errors import InvalidValueError, OmeError
from ome.journal import (
    BATCH_COUNT,
    CHECKS_EVENTS,
    FROM_SNAPSHOT,
    IS_LIVE,
    SETS_ASIDE,
    JournalError,
    JournalIntegrityError,
    JournalReport,
    JournalSource,
    ReplayAssertionError,
    Verdict,
    commands_buffer,
    text_of,
)
from ome.messages import Limits

__all__ = ["SNAPSHOTS_KEPT", "Batch", "JournalError", "JournalIntegrityError", "JournalReport", "Replay", "ReplayAssertionError", "Verdict"]

SNAPSHOTS_KEPT = 3
"""Snapshots that are kept, unless another number is asked for."""

_STEP_COUNT = 100_000  # commands between two calls of `progress`: some 20 ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Commands that follow each other, and all events that they caused, in order; `sequence` of an event is that of its command.

    Both are records whose kinds share bytes: `ome.event_rows` and `ome.codec.records_of_kind` give columns with one meaning each.
    """

    commands: Records
    events: Records

    def events_of(self, sequence: int) -> Records:
        """The events of one command."""
        first, last = np.searchsorted(self.events["sequence"], np.array((sequence, sequence + 1), dtype=np.uint64))
        return self.events[first:last]


class Replay(JournalSource):
    """Replays the journal of a directory into an engine of its own, which is then read through `view`. Changes nothing on disk.

    `run` does it all; `step` does some; `read` does some and tells what. With `live` a server may be writing: the replay ends at the
    last complete record. With `from_snapshot` it begins behind the newest snapshot that is whole, where there is one; and with
    `sets_aside`, for the one process that uses the directory, broken ones get another name. With `snapshot` it begins behind that of this
    sequence. With `checks_events` every event is held against the event log, where there is one, and it begins with no snapshot that is
    ahead of the log; not `live`. Use it as a context manager, or `close` it.

    Raises JournalError where there is no such directory, JournalIntegrityError where journal or event log are damaged.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        live: bool = False,
        from_snapshot: bool = False,
        sets_aside: bool = False,
        checks_events: bool = False,
        snapshot: int = 0,
    ) -> None:
        self._view: EngineView | None = None
        self._batch: CData = None
        flags = live * IS_LIVE | from_snapshot * FROM_SNAPSHOT | sets_aside * SETS_ASIDE | checks_events * CHECKS_EVENTS
        self._open(directory, flags)
        if snapshot:
            self._begin_behind(snapshot)

    def _begin_behind(self, snapshot: int) -> None:
        status = lib.ome_replay_begin_behind(self._pointer, snapshot)
        try:
            if status == lib.OME_NOT_FOUND:
                raise JournalError("snapshot", where=str(self.directory), found="none", allowed=f"one of command {snapshot:,}")
            self.check(status)
        except OmeError:
            self.close()
            raise

    def close(self) -> None:
        """Frees the engine, unless a venue has taken it."""
        if self._view is not None:
            self._view._handle.pointer = None
        if self._batch is not None:
            lib.ome_batch_destroy(self._batch)
            self._batch = None
        super().close()

    @property
    def view(self) -> EngineView | None:
        """The engine so far; None before the first command. The same view all along, also where a command changes the limits."""
        if self._view is None:
            self._follow_engine()
        return self._view

    def _follow_engine(self) -> None:
        """A change of limits moves the engine."""
        engine = lib.ome_replay_engine(self._pointer)
        if engine != ffi.NULL and self._view is None:
            self._view = EngineView(engine)
        elif engine != ffi.NULL and self._view is not None:
            self._view._handle.pointer = engine

    def resize(self, limits: Limits) -> None:
        """Moves the engine to other limits, for who then has DefineLimits sequenced as the next command.

        Raises InvalidValueError where something does not fit; then nothing has changed.
        """
        assert self.view is not None, "commands were applied"
        status = lib.ome_replay_resize(self._pointer, limits_of(limits))
        if status == lib.OME_FULL:
            raise misfit(self.view.state, self.view.sessions, self.view.limits.rules_version, limits, str(self.directory))
        if status != lib.OME_OK:
            raise MemoryError(f"no memory for an engine of {limits}")
        self._follow_engine()

    def step(self, count: int = _STEP_COUNT, *, idle: bool = False) -> bool:
        """Applies up to `count` commands; False when the journal has no more. With `idle` only where a core has nothing else to do.

        Raises JournalIntegrityError, or JournalError for a failed call.
        """
        status = (lib.ome_replay_step_idle if idle else lib.ome_replay_step)(self._pointer, count)
        self._follow_engine()
        self.check(status)
        return not self.is_at_end

    def read(self, count: int = BATCH_COUNT) -> Batch | None:
        """Applies up to `count` commands, the first of all alone, and returns them and their events; None when the journal has no more.

        What stands before damage is applied and given first. Raises as `step`.
        """
        if self._batch is None:
            batch = ffi.new("ome_batch_t **")
            if lib.ome_batch_create(batch) != lib.OME_OK:
                raise MemoryError("no memory for the events of a replay")
            self._batch = batch[0]
        commands, data, found = commands_buffer(count)
        status = lib.ome_replay_step_into(self._pointer, self._batch, data, count, found)
        self._follow_engine()
        if found[0] == 0:
            self.check(status)
            return None
        events = bytearray(ffi.buffer(lib.ome_batch_events(self._batch), lib.ome_batch_event_count(self._batch) * RECORD_SIZE))
        return Batch(commands=commands[: found[0]], events=np.frombuffer(events, EVENT))

    def batches(self, count: int = BATCH_COUNT) -> Iterator[Batch]:
        """All that is left, in batches of up to `count` commands. Raises as `step`."""
        while (batch := self.read(count)) is not None:
            yield batch

    def snapshot(self, keep: int = SNAPSHOTS_KEPT, *, idle: bool = False) -> None:
        """Writes a snapshot of what was applied, on disk when this returns; the newest `keep` are kept. `idle` as for `step`.

        Raises JournalError for a failed call, or where no command was applied yet.
        """
        if (lib.ome_replay_snapshot_idle if idle else lib.ome_replay_snapshot)(self._pointer, keep) == lib.OME_OK:
            return
        found = self._report()
        if found.error_call == ffi.NULL:
            raise JournalError("snapshot", where=str(self.directory), found="no command", allowed="a journal with commands")
        raise JournalError(
            text_of(found.error_call), where=text_of(found.error_path), found=os.strerror(found.error_number), allowed="success"
        )

    def run(self, *, to: int | None = None, progress: Callable[[int], None] | None = None) -> float:
        """Replays to the end, or up to and with command `to`; `progress` gets the sequence reached. Returns the seconds that it took."""
        start = time.perf_counter()
        sequence = self.view.sequence if self.view is not None else 0
        if to is not None and to < sequence:
            raise InvalidValueError("sequence", where=str(self.directory), found=to, allowed=f"{sequence:,}, the snapshot's, or later")
        while to is None or sequence < to:
            more = self.step(_STEP_COUNT if to is None else min(_STEP_COUNT, to - sequence))
            sequence = self.view.sequence if self.view is not None else 0
            if progress is not None:
                progress(sequence)
            if not more:
                break
        return time.perf_counter() - start
