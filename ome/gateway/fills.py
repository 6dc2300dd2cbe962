"""Fills: the trades of a participant, made again from the journal as the reports of them, for one participant at a time.

A replay begins with the newest snapshot before what is wanted, and is kept for the next page. A participant is its name: its number, and
those of its sessions, may be another's later or have been before.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import Full, Queue
from typing import Any, Final

import numpy as np

from ome._native import CData, ffi, lib
from ome.codec import RECORD_SIZE
from ome.codec.layouts import EXECUTION_REPORT_MESSAGE
from ome.codec.wire import encode_message
from ome.engine import limits_of
from ome.enums import CommandKind, EventKind, Reason
from ome.errors import OmeError
from ome.messages import Limits
from ome.recovery import Batch, Replay
from ome.recovery.snapshots import replay_from_beginning, replays_behind_snapshots
from ome.supervision import Supervisor

__all__ = ["FILLS_IN_PAGE", "FillsArchive", "WantedFills"]

FILLS_IN_PAGE: Final = 1_024
_REPORT_SIZE: Final = EXECUTION_REPORT_MESSAGE.itemsize
_COMMANDS_AT_ONCE: Final = 4_096
_COMMANDS_IN_PAGE: Final = 262_144  # some tenths of a second: then it is another client's turn
_QUESTIONS_MAX: Final = 64  # that wait; each may take some tenths of a second
_ROOM: Final = 1_024  # reports that are made at once


@dataclass(frozen=True, slots=True)
class WantedFills:
    """A FillsRequest: trades of the participant `name` since a time, whose id is above `cursor`."""

    peer: int
    request_id: int
    name: bytes
    since_ns: int
    cursor: int


class FillsArchive:
    """Reads fills in the background, and gives each answer, a whole frame, to `give` with the connection that it is for.

    `directory` is the journal's, or None where there is none. `limits` hold all orders of the journal. `until` says up to which command the
    journal may be spoken of. `give` is called on the archive's thread. Questions are answered one after another.
    """

    def __init__(
        self,
        directory: Path | None,
        limits: Limits,
        until: Callable[[], int],
        give: Callable[[int, bytes], None],
        *,
        supervisor: Supervisor,
    ) -> None:
        self._directory = directory
        self._limits = limits
        self._until = until
        self._give = give
        self._questions: Queue[WantedFills | None] = Queue(_QUESTIONS_MAX)  # None, behind what waits: stop
        self._reader: _Reader | None = None
        self._stopping = threading.Event()  # a page may take long
        self._thread = supervisor.thread("ome-fills", self._answer, period_s=0.0, in_background=True)

    def start(self) -> None:
        """Answers from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and frees what it has."""
        self._stopping.set()
        with contextlib.suppress(Full):  # then the thread looks at `_stopping` before it waits again
            self._questions.put_nowait(None)
        self._thread.stop()
        self._close_reader()

    def ask(self, wanted: WantedFills) -> None:
        """Asks for a page."""
        if self._directory is None:
            self._refuse(wanted, Reason.REPORTS_GONE)
            return
        try:
            self._questions.put_nowait(wanted)
        except Full:  # connections that ask and go leave their questions behind
            self._refuse(wanted, Reason.BUSY)

    def _refuse(self, wanted: WantedFills, reason: Reason) -> None:
        self._give(wanted.peer, encode_message("RequestAnswer", request_id=wanted.request_id, reason=reason))

    # ---- the thread ----

    def _answer(self) -> bool:
        """The next question. False: that was the last."""
        wanted = self._questions.get()
        if wanted is None or self._stopping.is_set():
            return False
        assert self._directory is not None, "without a journal no question gets here"
        try:
            frame = self._read(self._directory, wanted)
        except OmeError:
            self._close_reader()
            self._refuse(wanted, Reason.REPORTS_GONE)
            raise
        self._give(wanted.peer, frame)
        return True

    def _read(self, directory: Path, wanted: WantedFills) -> bytes:
        until = self._until()
        if self._reader is None or not self._reader.is_before(wanted):
            self._close_reader()
            self._reader = _Reader.begin(directory, self._limits, wanted, self._stopping.is_set)
        reports, next_cursor = self._reader.read(wanted, until)
        answer = encode_message(
            "RequestAnswer",
            request_id=wanted.request_id,
            engine_sequence=self._reader.sequence,
            next_cursor=next_cursor,
            message_count=len(reports) // _REPORT_SIZE,
            reason=Reason.REPORTS_GONE if self._reader.is_cut and wanted.cursor == 0 else Reason.NONE,
        )
        if next_cursor == 0:
            self._close_reader()
        return answer + reports

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None


class _Reader:
    """A replay, and the table of reports that follows it."""

    def __init__(self, replay: Replay, limits: Limits, wanted: WantedFills, is_stopping: Callable[[], bool]) -> None:
        self._replay = replay
        self._is_stopping = is_stopping
        self._name, self._since_ns = wanted.name, wanted.since_ns
        self._next = wanted.cursor
        self._pending = bytearray()  # made, and not given yet: whole commands are read
        self._owners: dict[int, tuple[int, int, bytes]] = {}  # of sessions: participant, session number, name
        self._is_wanted = bytearray(limits.session_count_max + 1)  # by session
        self._rules_version = 0
        self.is_cut = False
        """The journal does not have what was before."""
        if replay.view is not None:
            self._rules_version = replay.view.limits.rules_version
            for state in replay.view.sessions:
                self._own(state.session, (state.participant, state.session_number, state.participant_name.encode("ascii")))
        table = ffi.new("ome_report_table_t **")
        if lib.ome_report_table_create(lib.ome_replay_engine(replay.pointer), limits_of(limits), table) != lib.OME_OK:
            raise MemoryError("no memory for a table of reports")
        self._table: CData = table[0]

    @classmethod
    def begin(cls, directory: Path, limits: Limits, wanted: WantedFills, is_stopping: Callable[[], bool]) -> _Reader:
        """Behind the newest snapshot before all that is wanted, or at the journal's beginning. Raises JournalError where that is gone."""
        for replay in replays_behind_snapshots(directory):
            assert replay.view is not None, "a snapshot is of an engine"
            state = replay.view.state
            if state.trade_count <= wanted.cursor or state.time_ns < wanted.since_ns:
                return cls(replay, limits, wanted, is_stopping)
            replay.close()
        replay = replay_from_beginning(directory, live=True)
        reader = cls(replay, limits, wanted, is_stopping)
        reader.is_cut = replay.report.snapshot_sequence > 0
        return reader

    @property
    def sequence(self) -> int:
        """The last command that was read."""
        return 0 if self._replay.view is None else self._replay.view.state.sequence

    @property
    def _trade_count(self) -> int:
        return 0 if self._replay.view is None else self._replay.view.state.trade_count

    def close(self) -> None:
        lib.ome_report_table_destroy(self._table)
        self._replay.close()

    def is_before(self, wanted: WantedFills) -> bool:
        """Whether what is wanted follows what was given last."""
        return (wanted.name, wanted.since_ns, wanted.cursor) == (self._name, self._since_ns, self._next) and wanted.cursor > 0

    def read(self, wanted: WantedFills, until: int) -> tuple[bytes, int]:
        """The next page, of commands up to `until`, and the cursor of the one after it; 0: that was all."""
        most = FILLS_IN_PAGE * _REPORT_SIZE
        end = self.sequence + _COMMANDS_IN_PAGE
        is_over = False
        # A page that ends early has a cursor above that of the page before, so that asking comes to an end.
        while len(self._pending) <= most and (self.sequence < end or self._trade_count <= wanted.cursor) and not self._is_stopping():
            batch = self._replay.read(min(_COMMANDS_AT_ONCE, until - self.sequence)) if self.sequence < until else None
            if batch is None:
                is_over = True
                break
            self._make(batch, wanted.cursor)
        if len(self._pending) <= most:
            given = bytes(self._pending)
            self._pending.clear()
            self._next = 0 if is_over else self._trade_count
            return given, self._next
        ids = np.frombuffer(self._pending, EXECUTION_REPORT_MESSAGE)["trade_id"][: FILLS_IN_PAGE + 1].tolist()
        count = FILLS_IN_PAGE - (ids[FILLS_IN_PAGE] == ids[FILLS_IN_PAGE - 1])  # both sides of a trade in one page
        given = bytes(self._pending[: count * _REPORT_SIZE])
        del self._pending[: count * _REPORT_SIZE]
        self._next = ids[count - 1]
        return given, self._next

    def _make(self, batch: Batch, cursor: int) -> None:
        """Makes the reports of these events. At each definition the sessions that are wanted may change."""
        events, commands = batch.events, batch.commands
        kinds = (int(CommandKind.DEFINE_SESSION), int(CommandKind.DEFINE_LIMITS))
        is_definition = (events["kind"] == EventKind.DEFINED) & np.isin(events["command_kind"], kinds)
        start = 0
        for place in np.flatnonzero(is_definition).tolist():
            self._make_trades(events[start:place].tobytes(), cursor)
            start = place
            sequence = int(events[place]["sequence"])
            self._define(commands[int(np.searchsorted(commands["sequence"], sequence))])
        self._make_trades(events[start:].tobytes(), cursor)

    def _define(self, command: Any) -> None:
        if int(command["kind"]) == CommandKind.DEFINE_SESSION:
            session = int(command["session"])
            owner = (int(command["participant"]), int(command["session_number"]), bytes(command["participant_name"]))
            if self._owners.get(session) != owner:
                lib.ome_report_table_restart(self._table, session)
                self._own(session, owner)
        elif int(command["rules_version"]) != self._rules_version:  # it may be the one from which on reports are counted
            self._rules_version = int(command["rules_version"])
            for session in self._owners:
                lib.ome_report_table_restart(self._table, session)

    def _own(self, session: int, owner: tuple[int, int, bytes]) -> None:
        self._owners[session] = owner
        self._is_wanted[session] = owner[2] == self._name

    def _make_trades(self, events: bytes, cursor: int) -> None:
        wanted = ffi.new("ome_trades_wanted_t *")
        wanted.since_ns, wanted.after_trade_id = self._since_ns, cursor
        room = bytearray(_ROOM * _REPORT_SIZE)
        data, target, sessions = ffi.from_buffer(events), ffi.from_buffer("uint8_t[]", room), ffi.from_buffer("uint8_t[]", self._is_wanted)
        done = 0
        while done < len(events) // RECORD_SIZE:
            left = len(events) // RECORD_SIZE - done
            lib.ome_report_table_trades(self._table, data + done * RECORD_SIZE, left, sessions, wanted, target, _ROOM)
            self._pending += room[: wanted.report_count * _REPORT_SIZE]
            done += int(wanted.event_count)
