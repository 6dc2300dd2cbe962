"""The order entry protocol from the client's side, without input and output: docs/PROTOCOL.md, "Order entry".

Its owner has the socket and the clock. It says what happened (`note_connected`, `note_lost`, `receive`, `look`) and does what is asked for:
make a connection when `is_connection_due`, drop it when not `wants_connection`, send `next_frame` and confirm it by `note_sent`, and look
again at `next_look`. Times are seconds of any clock that does not go back.

    WAITING -> LOGGING_ON -> OPEN -> LOGGING_OUT -> OVER
       ^___________|___________|         a connection that breaks: logs on again, and goes on where both sides are

Its parts: `sent` has what is unanswered, `received` what is unread, `failures` what went wrong, Pace says how fast it may send, Liveness
whether the server lives.
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from ome.client.directory import InstrumentDirectory
from ome.client.errors import LogonRefused, OrdersRefused, ReportGap, SessionLost, explain, not_admitted
from ome.client.failures import Failures
from ome.client.frames import (
    FRAME_REJECT,
    HEARTBEAT,
    LOGON_ANSWER,
    LOGOUT,
    RESEND_ANSWER,
    TEST_REQUEST,
    fields_of,
    reason_of,
    rejection,
    session_end,
    template_of,
)
from ome.client.liveness import LOOK_EVERY_S, Liveness
from ome.client.logon import Logon, LogonOptions, read_logon
from ome.client.pace import Pace
from ome.client.received import ReceivedReports
from ome.client.reports import REPORT_TEMPLATES
from ome.client.retransmission import SentFrames, cut
from ome.codec.requests import heartbeat_message, logout_message, request_message, resend_message
from ome.codec.wire import numbered_messages
from ome.enums import Reason
from ome.errors import InvalidValueError, OmeError

__all__ = ["OrderEntryProtocol", "Phase"]

_CONTROL_FRAMES: Final = 64  # that wait to be sent; a server that asks for more while it does not read gets no answer
_RETURN_PAUSE_MIN: Final = 0.02  # seconds before the next connection; doubles to the maximum
_RETURN_PAUSE_MAX: Final = 2.0
_STABLE_S: Final = 1.0  # a session that is open for so long is back
_ASK_AGAIN_S: Final = 1.0  # for reports
_NOT_NOW: Final = frozenset((Reason.BUSY, Reason.THROTTLED, Reason.STORAGE_LOW))
# After a Logout with one of these the session comes back; after any other its user or the venue does not want it to.
_RETURNS: Final = frozenset((Reason.SLOW_CONSUMER, Reason.ENGINE_STOPPED, Reason.HEARTBEAT_TIMEOUT, Reason.SESSION_LIMIT_REACHED))
# Refused at a later logon, and worth another. SESSION_IN_USE: the server has not noticed yet that the session's connection is gone.
_LOGON_AGAIN: Final = frozenset((Reason.BUSY, Reason.THROTTLED, Reason.ENGINE_STOPPED, Reason.SESSION_LIMIT_REACHED, Reason.SESSION_IN_USE))


class Phase(IntEnum):
    """Where a session is."""

    WAITING = 0
    """Without a connection: until the first, or the next."""
    LOGGING_ON = 1
    OPEN = 2
    LOGGING_OUT = 3
    OVER = 4
    """`failures.loss` says why."""


class OrderEntryProtocol:
    """One session, over any number of connections.

    `where` names it in errors. It gives a connection up when it has heard nothing for `liveness` seconds, and the session when it could not
    come back for `reconnect` seconds (None or 0: at once). `timeout` is how many seconds the server may be busy, or not answer a logon.
    """

    def __init__(
        self, options: LogonOptions, *, where: str, timeout: float, liveness: float, reconnect: float | None, reports_kept: int, now: float
    ) -> None:
        if reports_kept < 1:
            raise InvalidValueError("reports_kept", found=reports_kept, allowed="1 or more")
        if reconnect is not None and not reconnect >= 0:
            raise InvalidValueError("reconnect", found=reconnect, allowed="a number of seconds, or None")
        self._options = options
        self._where = where
        self._timeout = timeout
        self._reconnect = reconnect or 0.0
        self._liveness = Liveness(liveness)
        self.failures = Failures()
        self.sent = SentFrames()
        self.received = ReceivedReports(where, reports_kept)
        self.instruments = InstrumentDirectory({})
        self.phase = Phase.WAITING
        self.logon_count = 0
        self._logon: Logon | None = None
        self._pace = Pace(where, timeout, self.failures)
        self._control: deque[bytes] = deque()
        self._is_control_next = False
        self._looked_at = self._connect_at = self._opened_at = now
        self._logon_until = float("inf")  # of the first, its caller says
        self._pause = _RETURN_PAUSE_MIN
        self._cause: SessionLost | None = None  # of the outage
        self._away = 0.0  # seconds since the session was open and stayed so
        self._asked_reports_at: float | None = None  # the reports from the next on are asked for
        self._request_id = 0
        self._position_id = 0  # of the TestRequest that finds out which messages the server has taken
        self._is_frame_refused = False  # for good: the first that it has not taken
        self._gaps_expected = 0  # frames behind one that was refused, whose refusals are still to come

    # ---- what its owner asks ----

    @property
    def logon(self) -> Logon:
        """The last logon's answer."""
        assert self._logon is not None, "it has logged on"
        return self._logon

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self.phase is Phase.OVER

    @property
    def wants_connection(self) -> bool:
        """Whether the connection that there is, is the session's."""
        return self.phase not in (Phase.WAITING, Phase.OVER)

    def is_connection_due(self, now: float) -> bool:
        """Whether to connect now."""
        return self.phase is Phase.WAITING and now >= self._connect_at

    def next_look(self, now: float) -> float:
        """When to call `look` again, at the latest."""
        latest = now + self._liveness.look_every
        if self.phase is Phase.WAITING:
            return min(latest, self._connect_at)
        if self.phase is Phase.OPEN and now < self._pace.resume_at:
            return min(latest, self._pace.resume_at)
        return latest

    def has_room(self, message_count: int, now: float) -> bool:
        """Whether `send` may be called with a frame of so many messages: it would be sent at once."""
        is_free = self.phase is Phase.OPEN and self.sent.next_frame is None and self._position_id == 0
        return is_free and self._pace.allows(message_count, self.sent.sent_count, self.sent.message_count, now)

    def cut(self, commands: npt.NDArray[np.void], message_count: int) -> list[npt.NDArray[np.void]]:
        """Commands (dtype COMMAND or COMMAND_MESSAGE) as the messages of frames, of at most so many each, for `send`."""
        return cut(numbered_messages(commands, 1), self._pace.most(message_count))

    def send(self, messages: npt.NDArray[np.void]) -> None:
        """Takes the messages of a frame, which are its own from now on, and sends them until they are taken."""
        self.sent.add(messages)

    def log_out(self) -> None:
        """Says goodbye; the session is over when the server has answered."""
        if self.phase is Phase.OPEN:
            self.phase = Phase.LOGGING_OUT
            self._say(logout_message())

    def end(self) -> None:
        """The session is over, whatever the server says."""
        if self.phase is not Phase.OVER:
            self._lose(session_end(Reason.NONE, self._where))

    def next_frame(self, now: float) -> bytes | memoryview | None:
        """The frame to send now, or None. The same again until `note_sent`."""
        self._is_control_next = bool(self._control)
        if self._control:
            return self._control[0]
        frame = self.sent.next_frame
        if frame is None or self.phase is not Phase.OPEN or self._position_id:
            return None
        if not self._pace.allows(len(frame.messages), self.sent.sent_count, self.sent.message_count, now):
            return None
        return frame.messages.view("u1").data

    def note_sent(self, now: float) -> None:
        """`next_frame` went to the server."""
        self._liveness.note_sent(now)
        if self._is_control_next:
            self._control.popleft()
            return
        frame = self.sent.next_frame
        assert frame is not None, "it was there"
        self._pace.note_sent(len(frame.messages), now, is_first=self.sent.sent_count == 0)
        self.sent.note_sent()

    # ---- what happened ----

    def note_connected(self, now: float) -> None:
        """A connection is being made; what `next_frame` gives may be sent on it."""
        self.phase = Phase.LOGGING_ON
        self._liveness.begin(0.0, now)
        self._logon_until = now + self._timeout if self._logon else float("inf")
        wanted = self.received.newest + 1 if self._logon else int(self._options.next_report or 0)
        self._control.clear()
        self._say(self._options.message(wanted))

    def note_lost(self, now: float, found: str = "closed by the server or the network", *, returns: bool = True) -> None:
        """The connection broke, and all that had come was received."""
        if self.wants_connection:
            found = found if self._logon else f"{found}, before the logon was answered"
            loss = SessionLost("connection", where=self._where, found=found, allowed="an open connection")
            self._fall(loss, now, returns=returns)

    def note_not_admitted(self, now: float) -> None:
        """The server does not admit the key of the connection. It is not tried again."""
        refused = not_admitted(self._where)
        if self._logon is None:
            self.failures.add(refused)
        elif self.wants_connection:
            loss = SessionLost(refused.what, where=self._where, found=refused.found, allowed=refused.allowed)
            self._fall(loss, now, returns=False)

    def receive(self, frame: bytes, now: float) -> None:
        """Takes a frame that came."""
        try:
            self._read(frame, now)
        except OmeError as error:
            self.failures.add(error)

    def look(self, is_heard: bool, now: float) -> None:
        """Does what time asks for; something has come since the last look or not."""
        seconds = now - self._looked_at
        self._looked_at = now
        if self.phase is Phase.OPEN and now - self._opened_at >= _STABLE_S:
            self._away, self._pause, self._cause = 0.0, _RETURN_PAUSE_MIN, None
        elif self.logon_count:
            self._away += min(max(0.0, seconds), LOOK_EVERY_S)  # what the program did meanwhile does not count
        if self.phase is Phase.WAITING and self._cause is not None and self.logon_count and self._away > self._reconnect:
            self._lose(self._cause)
        elif self.phase is Phase.LOGGING_ON and now >= self._logon_until:
            self._fall(self._silence("the logon was not answered"), now)
        elif self.phase in (Phase.OPEN, Phase.LOGGING_OUT):
            self._keep_alive(is_heard, seconds, now)

    # ---- frames ----

    def _read(self, frame: bytes, now: float) -> None:
        template = template_of(frame, self._where)
        if template in REPORT_TEMPLATES:
            self._read_reports(frame, now)
            return
        if template == LOGON_ANSWER:
            if self.phase is Phase.LOGGING_ON:
                self._read_logon(frame, now)
            return
        if template not in (FRAME_REJECT, LOGOUT, HEARTBEAT, TEST_REQUEST, RESEND_ANSWER):
            if template:
                allowed = "a message that a server sends"
                raise InvalidValueError("template", where=self._where, found=template, allowed=allowed)
            return
        fields = fields_of(frame)
        if template == FRAME_REJECT:
            self._read_rejection(fields, now)
        elif template == LOGOUT:
            reason = int(fields["reason"])
            returns = reason_of(reason) in _RETURNS and self.phase is not Phase.LOGGING_OUT
            self._fall(session_end(reason, self._where), now, returns=returns)
        elif template == TEST_REQUEST:
            self._say(heartbeat_message(int(fields["request_id"])))
        elif template == RESEND_ANSWER:
            self._read_resend(fields)
        elif self._position_id and fields["request_id"] == self._position_id:
            self._take_position(int(fields["command_sequence"]))

    def _read_logon(self, frame: bytes, now: float) -> None:
        try:
            logon, instruments = read_logon(frame, self._where)
        except LogonRefused as refused:
            reason = Reason(int(refused.found)) if isinstance(refused.found, Reason) else Reason.NONE
            if self._logon is None and reason is not Reason.BUSY:
                raise
            loss = SessionLost("session", where=self._where, found=f"the logon was refused ({explain(reason)})", allowed="a LogonAnswer")
            loss.reason = reason
            self._fall(loss, now, returns=reason in _LOGON_AGAIN)
            return
        if self._logon is None:
            asked_for = self._options.next_report
            self.received.begin(logon.report_sequence if asked_for is None else int(asked_for) - 1)
            self.sent.last_sequence = logon.command_sequence
        elif not self.sent.resume(logon.command_sequence):
            found = f"message {logon.command_sequence} taken, which this one has not sent"
            self._lose(SessionLost("session", where=self._where, found=found, allowed="a session that nobody else uses"))
            return
        self._logon = logon
        self.logon_count += 1
        self.instruments.define(instruments.by_number)
        self._pace.begin(logon.message_rate_max, logon.in_flight_max, now)
        self._liveness.begin(logon.heartbeat_ms / 1_000, now)
        self._asked_reports_at = None
        self._position_id = self._gaps_expected = 0
        self.phase, self._opened_at = Phase.OPEN, now

    def _read_reports(self, frame: bytes, now: float) -> None:
        reports, is_gap = self.received.add(frame)
        if len(reports):
            self._asked_reports_at = None
            if self.sent.answer(reports):
                self._pace.note_answered(now)
        if is_gap and self._asked_reports_at is None:
            self._ask_for_reports(now)

    def _read_resend(self, answer: np.void) -> None:
        """The reports come from a number on; those before are gone, or do not exist."""
        reason, found = reason_of(answer["reason"]), int(answer["next_report_sequence"])
        expected = self.received.newest + 1
        self._asked_reports_at = None
        if reason is Reason.NONE or found == expected:
            return
        self.received.begin(found - 1)
        self.sent.has_lost_reports = True
        self.failures.add(ReportGap(where=self._where, expected=expected, found=found, reason=reason))

    def _read_rejection(self, reject: np.void, now: float) -> None:
        reason = reason_of(reject["reason"])
        if self._logon is None:
            raise rejection(reject, self._where)
        if reason in (Reason.NOT_LOGGED_ON, Reason.ENGINE_STOPPED) or self.phase is Phase.LOGGING_ON:
            loss = SessionLost("session", where=self._where, found=explain(reject["reason"]), allowed="a session that is logged on")
            loss.reason = reason
            self._fall(loss, now)
        elif self._position_id:
            pass  # the server says in a moment what it has taken; what it has not is sent again, and refused again
        elif reason is Reason.SEQUENCE_SEEN:
            self._ask_for_reports(now)
        elif reason is Reason.SEQUENCE_GAP and self._gaps_expected:
            self._gaps_expected -= 1
        elif reason is Reason.SEQUENCE_GAP:
            self._ask_for_position(is_frame_refused=False)
        elif reason in _NOT_NOW and bytes(reject["field"]) == b"session_sequence":
            self._take_back(reject, reason, now)
        else:
            self.failures.add(rejection(reject, self._where))
            self._ask_for_position(is_frame_refused=True)

    def _take_back(self, reject: np.void, reason: Reason, now: float) -> None:
        """The server has not taken the messages from a number on, which goes for all that was sent behind them."""
        behind = self.sent.rewind(int(reject["found"]))
        if behind is None:
            self.failures.add(rejection(reject, self._where))
            self._ask_for_position(is_frame_refused=False)
            return
        self._gaps_expected = behind
        refused = self.sent.take_out_new_orders() if reason is Reason.STORAGE_LOW else ()
        if refused:
            error = OrdersRefused(
                f"new orders ({explain(reason)})", where=self._where, found=f"{len(refused)} of them", allowed="none for now"
            )
            error.client_order_ids = refused
            self.failures.add(error)
        else:
            self._pace.note_refused(reason, int(reject["rejected_count"]), self.sent.pending, now)

    # ---- what it asks the server ----

    def _say(self, frame: bytes) -> None:
        if len(self._control) < _CONTROL_FRAMES:
            self._control.append(frame)

    def _ask(self) -> int:
        self._request_id += 1
        self._say(request_message(self._request_id))
        self._liveness.note_asked()
        return self._request_id

    def _ask_for_reports(self, now: float) -> None:
        self._asked_reports_at = now
        self._say(resend_message(self.received.newest + 1))

    def _ask_for_position(self, *, is_frame_refused: bool) -> None:
        """Finds out which messages the server has taken, and sends nothing until it knows."""
        self._position_id = self._ask()
        self._is_frame_refused = is_frame_refused

    def _take_position(self, command_sequence: int) -> None:
        self._position_id = self._gaps_expected = 0
        was_sent = self.sent.sent_count
        is_known = self.sent.resume(command_sequence)
        if is_known and self._is_frame_refused and self.sent.sent_count < was_sent:
            self.sent.drop_next()

    def _keep_alive(self, is_heard: bool, seconds: float, now: float) -> None:
        self._liveness.look(is_heard, seconds)
        if self._liveness.is_over:
            self._fall(self._silence(f"nothing heard for {self._liveness.limit} s"), now)
            return
        if self._liveness.is_asking_due:
            self._ask()
        elif self._liveness.is_heartbeat_due(now) and not self._control:
            self._say(heartbeat_message())
        if self._asked_reports_at is not None and now - self._asked_reports_at >= _ASK_AGAIN_S:
            self._ask_for_reports(now)

    # ---- losses ----

    def _silence(self, found: str) -> SessionLost:
        return SessionLost("session", where=self._where, found=found, allowed="a sign of life of the server")

    def _fall(self, loss: SessionLost, now: float, *, returns: bool = True) -> None:
        """The connection is of no use any more: the session waits for the next, or is over."""
        self._control.clear()
        if self._cause is None or loss.reason is not Reason.NONE:  # why it went says more than why it does not come back
            self._cause = loss
        is_first = self._logon is None and loss.reason is Reason.BUSY
        if not is_first and (self._logon is None or not returns or self.phase is Phase.LOGGING_OUT or self._away >= self._reconnect):
            self._lose(self._cause)
            return
        self.phase = Phase.WAITING
        self._connect_at = now + self._pause
        self._pause = min(_RETURN_PAUSE_MAX, 2 * self._pause)

    def _lose(self, loss: SessionLost) -> None:
        """Ends the session. What was received stays."""
        self.phase = Phase.OVER
        self._control.clear()
        unanswered = self.sent.unanswered
        found = f"{loss.found}; {len(unanswered)} commands are unanswered" if unanswered else str(loss.found)
        ended = SessionLost(loss.what, where=self._where, found=found, allowed=loss.allowed)
        ended.reason, ended.unanswered = loss.reason, unanswered
        self.failures.loss = ended
