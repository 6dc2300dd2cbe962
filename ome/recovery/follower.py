"""The follower: a copy of the engine that follows the journal and writes snapshots, so that the matcher never stops for one.

It reads what the journal has on disk, as a recovery would, in a thread of its own whose priority is the lowest, and only when a snapshot is
due; the long parts, in C, run only where a core is idle (not the Python between them, which holds what other threads wait for). So all
that the matcher sees of it is a core, a disk and a cache that are shared. It also keeps the manifest up to date: when a segment was sealed,
while a core is idle or after a minute, and at the end. A snapshot or a manifest that cannot be written is told to the log, and tried again
later; the venue goes on. What the follower needs of memory is an engine more, once there are snapshots.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ome.errors import OmeError
from ome.recovery import SNAPSHOTS_KEPT, Replay
from ome.recovery.directory import segments
from ome.recovery.manifest import append_manifest
from ome.recovery.snapshots import REQUEST_FILE
from ome.supervision import Supervisor

__all__ = ["Follower"]

_PERIOD_S: Final = 0.1
_LOG_PERIOD_S: Final = 0.01
_STEP_COUNT: Final = 20_000  # commands at a time: some milliseconds, after which it may be stopped
_RETRY_S: Final = 60.0  # after a manifest that could not be written
_BEHIND_MAX_S: Final = 60.0  # that the manifest waits for an idle core

_log = logging.getLogger(__name__)


class Follower:
    """Writes a snapshot of the journal in `directory` every `every` commands, when asked to, and at the end; keeps the newest `keep`.

    With `every` 0 only when asked to. The manifest gets a line for each segment that is sealed.

    `sequence` says how far the journal has got, and `is_logged` whether the event log has so many events: no snapshot is ahead of it, so
    that a start can go on from one and still complete the log. `first` is the sequence of the newest snapshot, 0 for none.
    """

    def __init__(
        self,
        directory: Path,
        sequence: Callable[[], int],
        is_logged: Callable[[int], bool],
        *,
        every: int,
        first: int,
        keep: int = SNAPSHOTS_KEPT,
        supervisor: Supervisor | None = None,
    ) -> None:
        self.directory = directory
        self.snapshot_sequence = first
        self._sequence = sequence
        self._is_logged = is_logged
        self._every = every
        self._keep = keep
        self._replay: Replay | None = None
        self._has_run = False
        self._listed = ""  # the last segment when the manifest was brought up to date
        self._next_try_s = 0.0
        self._behind_s: float | None = None  # since when the manifest has not been up to date
        self._stopping = threading.Event()
        self._is_started = False
        self._thread = (supervisor or Supervisor()).thread(
            "ome-follower", self._work, period_s=_PERIOD_S, stopping=self._stopping, in_background=True
        )

    def start(self) -> None:
        """From now on in a thread of its own."""
        with contextlib.suppress(OSError):
            self._request.unlink()
        self._is_started = True
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, which asks for the sequence no more."""
        self._thread.stop()
        self._has_run = self._is_started

    def close(self) -> None:
        """After `stop`, and when nothing is written to the journal any more: leaves a snapshot of its end, and frees the copy."""
        if self._has_run:
            if self._every:
                try:
                    self._attempt()
                except Exception as error:  # the journal is sealed already: a start replays what this snapshot would have held
                    _log.warning("no snapshot of the end of %s: %r", self.directory, error)
            self._add_to_manifest(live=False)
        self._forget()

    @property
    def _request(self) -> Path:
        return self.directory / REQUEST_FILE

    def _work(self) -> None:
        try:
            is_asked = self._request.exists()
            if is_asked or (self._every and self._sequence() - self.snapshot_sequence >= self._every):
                self._attempt()
            if is_asked:
                self._request.unlink(missing_ok=True)
        finally:
            self._look_for_sealed_segments()

    def _look_for_sealed_segments(self) -> None:
        """A segment is sealed before the next one has its name. One at a time is added, so that nobody waits long who stops the thread."""
        last = max((path.name for path in segments(self.directory)), default="")
        if last == self._listed or time.monotonic() < self._next_try_s:
            return
        self._behind_s = time.monotonic() if self._behind_s is None else self._behind_s
        if self._add_to_manifest(live=True, count_max=1) == 0:
            self._listed = last
            self._behind_s = None

    def _can_wait(self) -> bool:
        """Nobody needs a line at once. But a venue that is always busy gets its lines too, and who stops the thread need not wait."""
        return not self._stopping.is_set() and self._behind_s is not None and time.monotonic() - self._behind_s < _BEHIND_MAX_S

    def _add_to_manifest(self, *, live: bool, count_max: int | None = None) -> int | None:
        """How many lines were added; None where it failed."""
        try:
            return len(append_manifest(self.directory, live=live, count_max=count_max, can_wait=self._can_wait))
        except (OmeError, OSError) as error:
            _log.warning("the manifest of %s is not up to date: %s", self.directory, error)
            self._thread.note(error)
            self._next_try_s = time.monotonic() + _RETRY_S
            return None

    def _attempt(self) -> None:
        try:
            self._snapshot()
        except OmeError as error:
            _log.warning("no snapshot of %s: %s", self.directory, error)
            self._thread.note(error)
            self.snapshot_sequence += self._every  # the next one when it is due
            self._forget()
        except BaseException:
            self._forget()
            raise

    def _forget(self) -> None:
        """The copy of the engine may be anywhere: the next attempt begins anew."""
        if self._replay is not None:
            self._replay.close()
            self._replay = None

    def _snapshot(self) -> None:
        if self._replay is None:
            self._replay = Replay(self.directory, live=True, from_snapshot=True)
        while self._replay.step(_STEP_COUNT, idle=not self._has_run):
            if self._stopping.is_set() and not self._has_run:
                return
        reached = self._replay.report.last_sequence
        if reached > self.snapshot_sequence and self._wait_for_log():
            self._replay.snapshot(self._keep, idle=not self._has_run)
            self.snapshot_sequence = reached

    def _wait_for_log(self) -> bool:
        """Once nothing is written any more, the log is complete. False where it is stopped meanwhile."""
        assert self._replay is not None, "it has stepped"
        assert self._replay.view is not None, "commands were applied"
        count = self._replay.view.state.event_count
        while not self._has_run and not self._is_logged(count):
            if self._stopping.wait(_LOG_PERIOD_S):
                return False
        return True
