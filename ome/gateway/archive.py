"""Reports that are no longer in memory: they are made again from the journal, for one session at a time.

A replay begins with the newest snapshot in which the session has not got so far, or with the journal, and makes the reports of the events
of each command: the same bytes as before, since they follow from the events alone.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from typing import Final

from ome._native import CData, ffi, lib
from ome.codec import RECORD_SIZE
from ome.codec.layouts import EXECUTION_REPORT_MESSAGE
from ome.engine import EngineView, limits_of
from ome.errors import OmeError
from ome.messages import Limits
from ome.recovery import Replay
from ome.recovery.snapshots import replay_from_beginning, replays_behind_snapshots
from ome.supervision import Supervisor

__all__ = ["GIVEN_AT_ONCE", "REPORT_SIZE", "ReportArchive", "Wanted"]

GIVEN_AT_ONCE: Final = 4_096
REPORT_SIZE: Final = EXECUTION_REPORT_MESSAGE.itemsize
_COMMANDS_AT_ONCE: Final = 4_096
_ROOM: Final = 1_024  # reports that are made at once
_COUNTED_FROM: Final = 2  # the version of the rules that counts the reports of participants


@dataclass(frozen=True, slots=True)
class Wanted:
    """Reports of a session from `first` on, and no further than `last`, which it has. `request` is the question's number.

    From the command `settled` on, the session's number is its own: the reports of before may be another one's.
    With a `participant`, all reports of it are wanted, for a drop copy, under the numbers that they have there.
    """

    request: int
    session: int
    first: int
    last: int
    settled: int = 0
    participant: int = 0


class ReportArchive:
    """Reads reports in the background, and gives them to `give` with the number of the question; none where there are none any more.

    `directory` is the journal's, or None where there is none. `limits` hold all orders of the journal. `give` is called on the archive's
    thread. A new question takes the place of one that waits.
    """

    def __init__(self, directory: Path | None, limits: Limits, give: Callable[[int, bytes], None], *, supervisor: Supervisor) -> None:
        self._directory = directory
        self._limits = limits
        self._give = give
        self._newest: Queue[Wanted | None] = Queue(1)  # None: stop
        self._reader: _Reader | None = None
        self._stopping = threading.Event()  # a read may take long
        self._thread = supervisor.thread("ome-archive", self._answer, period_s=0.0, in_background=True)

    def start(self) -> None:
        """Answers from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and frees what it has."""
        self._stopping.set()
        self._put(None)
        self._thread.stop()
        self._close_reader()

    def ask(self, wanted: Wanted) -> None:
        """Asks for reports. The gateway has one question at a time, so one before it, that waits, is of no use any more."""
        self._put(wanted)

    def _put(self, wanted: Wanted | None) -> None:
        """By one thread at a time."""
        with contextlib.suppress(Empty):
            self._newest.get_nowait()
        self._newest.put(wanted)

    # ---- the thread ----

    def _answer(self) -> bool:
        """The next question. False: that was the last."""
        wanted = self._newest.get()
        if wanted is None or self._stopping.is_set():
            return False
        try:
            reports = b"" if self._directory is None else self._read(self._directory, wanted)
        except OmeError:
            self._close_reader()
            self._give(wanted.request, b"")
            raise
        self._give(wanted.request, reports)
        return True

    def _read(self, directory: Path, wanted: Wanted) -> bytes:
        """What follows what was read last, of the same session, is read on; anything else from a snapshot on."""
        if self._reader is None or not self._reader.is_before(wanted):
            self._close_reader()
            self._reader = _Reader.begin(directory, self._limits, wanted, self._stopping.is_set)
        reports = self._reader.read(wanted)
        if not reports or len(reports) // REPORT_SIZE + wanted.first > wanted.last:
            self._close_reader()  # it has all that was wanted, or there is no more
        return reports

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None


class _Reader:
    """A replay, and the table of reports that follows it."""

    def __init__(self, replay: Replay, limits: Limits, wanted: Wanted, is_stopping: Callable[[], bool]) -> None:
        self._replay = replay
        self._is_stopping = is_stopping
        self._session, self._participant = wanted.session, wanted.participant
        self._sessions = bytearray(limits.session_count_max + 1)  # of a participant: 1 for those that it has, by number
        self._pending = bytearray()  # made, and not given yet: whole commands are read
        self._next = 0  # the first report that was not given; 0 before the first question
        self._last, self._defined = _progress(replay, wanted)
        engine = lib.ome_replay_engine(replay.pointer)
        if engine != ffi.NULL:
            for state in EngineView(engine).sessions:
                self._sessions[state.session] = state.participant == wanted.participant
        table = ffi.new("ome_report_table_t **")
        if lib.ome_report_table_create(engine, limits_of(limits), table) != lib.OME_OK:
            raise MemoryError("no memory for a table of reports")
        self._table: CData = table[0]

    @classmethod
    def begin(cls, directory: Path, limits: Limits, wanted: Wanted, is_stopping: Callable[[], bool]) -> _Reader:
        """Behind the newest snapshot before which the first report wanted was not made, or at the journal's beginning.

        Raises JournalError where that is gone.
        """
        for replay in replays_behind_snapshots(directory):
            last, defined = _progress(replay, wanted)
            if defined and last < wanted.first:
                return cls(replay, limits, wanted, is_stopping)
            replay.close()
        return cls(replay_from_beginning(directory, live=True), limits, wanted, is_stopping)

    def close(self) -> None:
        lib.ome_report_table_destroy(self._table)
        self._replay.close()

    def is_before(self, wanted: Wanted) -> bool:
        """Whether what is wanted follows what was given last."""
        is_of_same = (wanted.session, wanted.participant) == (self._session, self._participant)
        return is_of_same and wanted.first == self._next

    def read(self, wanted: Wanted) -> bytes:
        """The next reports that are wanted, GIVEN_AT_ONCE at most; none at the end of the journal."""
        most = GIVEN_AT_ONCE * REPORT_SIZE
        is_cut = False
        while not self._is_stopping():
            is_settled = self._sequence() >= wanted.settled
            if is_settled and (len(self._pending) >= most or self._last >= wanted.last):
                break
            batch = self._replay.read(_COMMANDS_AT_ONCE)
            if batch is None:
                break
            self._read_events(batch.events.tobytes(), wanted)
            if not is_settled and len(self._pending) > most:
                del self._pending[most:]  # most likely another one's
                is_cut = True
            is_cut = is_cut and bool(self._pending)
        given = bytes(self._pending[:most])
        del self._pending[:most]
        self._next = 0 if is_cut else wanted.first + len(given) // REPORT_SIZE
        return given

    def _sequence(self) -> int:
        engine = lib.ome_replay_engine(self._replay.pointer)
        return 0 if engine == ffi.NULL else EngineView(engine).sequence

    def _read_events(self, events: bytes, wanted: Wanted) -> None:
        if self._participant:
            self._read_copies(events, wanted)
            return
        _, defined = _progress(self._replay, wanted)
        if defined != self._defined:  # the number is another session's from there on
            self._defined, self._last = defined, 0
            self._pending.clear()
        self._make(events, wanted.first)

    def _read_copies(self, events: bytes, wanted: Wanted) -> None:
        """The same for a participant. Where the engine has counted otherwise, by rules of before, the numbers begin there."""
        found = ffi.new("ome_copies_wanted_t *")
        found.participant, found.next_report_sequence, found.report_sequence = self._participant, wanted.first, self._last
        room = bytearray(_ROOM * REPORT_SIZE)
        data, target, sessions = (
            ffi.from_buffer(events),
            ffi.from_buffer("uint8_t[]", room),
            ffi.from_buffer("uint8_t[]", self._sessions),
        )
        done, count = 0, len(events) // RECORD_SIZE
        while done < count:
            lib.ome_report_table_copies(self._table, data + done * RECORD_SIZE, count - done, sessions, found, target, _ROOM)
            if found.has_begun:
                self._pending.clear()
            self._pending += room[: found.report_count * REPORT_SIZE]
            done += int(found.event_count)
        self._last, _ = _progress(self._replay, wanted)
        if self._last != int(found.report_sequence):
            self._pending.clear()

    def _make(self, events: bytes, first: int) -> None:
        """Makes the reports of these events, and keeps those from `first` on."""
        wanted = ffi.new("ome_report_wanted_t *")
        wanted.defined_sequence, wanted.next_report_sequence, wanted.session = self._defined, first, self._session
        wanted.report_sequence = self._last
        room = bytearray(_ROOM * REPORT_SIZE)
        data, target = ffi.from_buffer(events), ffi.from_buffer("uint8_t[]", room)
        done = 0
        while done < len(events) // RECORD_SIZE:
            lib.ome_report_table_make(self._table, data + done * RECORD_SIZE, len(events) // RECORD_SIZE - done, wanted, target, _ROOM)
            self._pending += room[: wanted.report_count * REPORT_SIZE]
            done += int(wanted.event_count)
        self._last = int(wanted.report_sequence)


def _progress(replay: Replay, wanted: Wanted) -> tuple[int, int]:
    """The last report so far, and the command that defined the session; zeros where it is not defined.

    Of a participant, whose reports are counted by the second rules on, the second is 1 where these are followed.
    """
    found = ffi.new("ome_session_view_t *")
    engine = lib.ome_replay_engine(replay.pointer)
    if engine == ffi.NULL:
        return 0, 0
    if wanted.participant:
        view = EngineView(engine)
        return view.participant_reports(wanted.participant), int(view.limits.rules_version >= _COUNTED_FROM)
    if lib.ome_engine_session(engine, wanted.session, found) != lib.OME_OK:
        return 0, 0
    return int(found.report_sequence), int(found.defined_sequence)
