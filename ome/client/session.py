"""The life of a session behind its logon: frames out and in, signs of life, the loss of the connection, the logout."""

from __future__ import annotations

import time
from typing import Final

import numpy as np
import numpy.typing as npt

from ome.client.errors import SessionLost, TimedOut
from ome.client.failures import Failures
from ome.client.frames import FRAME_REJECT, HEARTBEAT, LOGOUT, frame_reject, logout_reason, rejection, session_end, template_of
from ome.client.liveness import Liveness
from ome.client.received import ReceivedReports
from ome.client.reports import REPORT_TEMPLATES, Reports
from ome.client.retransmission import SentFrame, SentFrames, cut
from ome.codec.layouts import EXECUTION_REPORT_MESSAGE
from ome.codec.requests import heartbeat_message, logout_message
from ome.codec.wire import numbered_messages
from ome.enums import Reason
from ome.errors import InvalidValueError
from ome.transport import ClientSocket, SendStatus

__all__ = ["Session"]

_DRAIN_FRAMES: Final = 256  # received in a row before the caller gets its turn
_SEND_FRAMES: Final = 16  # sent in a row before looking for what came: a server ends a session that does not read
_UNREAD_MANY_BYTES: Final = 1 << 20


class Session:
    """Sends and receives on a socket that is logged on, and does meanwhile what keeps the session alive.

    It does something only while one of its methods runs. What it receives is in `received`, what it sent and has no answer to in `sent`,
    what went wrong in `failures`. `where` names the session in errors; `timeout` is how many seconds it waits for room, and for a logout.
    """

    def __init__(
        self,
        socket: ClientSocket,
        *,
        where: str,
        timeout: float,
        liveness: Liveness,
        sent: SentFrames,
        received: ReceivedReports,
        failures: Failures,
    ) -> None:
        self.socket = socket
        self._where = where
        self._timeout = timeout
        self._liveness = liveness
        self._sent = sent
        self._received = received
        self._failures = failures
        self._next_sequence = 1

    def send(self, commands: npt.NDArray[np.void], message_count: int) -> None:
        """Sends commands (dtype COMMAND or COMMAND_MESSAGE) in frames of at most so many messages, and looks between them for what came.

        Raises what `failures` has, TimedOut where there is no room in time.
        """
        messages = numbered_messages(commands, self._next_sequence)
        self._look()
        self._failures.raise_next()
        if self._sent.pending == 0:
            self._sent.begin(time.monotonic())
        for index, part in enumerate(cut(messages, message_count)):
            if index and index % _SEND_FRAMES == 0:
                self._look()
                self._failures.raise_next()
            while self._sent.next_refused is not None:  # what comes later must not overtake it
                self._wait_a_little(time.monotonic() + self._timeout)
                self._failures.raise_next()
            self._send_frame(SentFrame(part, self._next_sequence))
            self._next_sequence += len(part)

    def receive(self, timeout: float) -> Reports:
        """The reports that have come; waits up to `timeout` seconds for the first. Raises what `failures` has, and ReportGap."""
        deadline = time.monotonic() + timeout
        while True:
            self._look()
            if len(self._received):
                return self._received.take()
            self._failures.raise_next()
            if time.monotonic() >= deadline:
                return np.empty(0, dtype=EXECUTION_REPORT_MESSAGE)
            self._wait_a_little(deadline)

    def receive_unread(self, timeout: float) -> bool:
        """Whether reports came within `timeout` seconds; they are then among the objects that wait to be read."""
        found = self.receive(timeout)
        self._received.objects.add(found)
        return len(found) > 0

    def log_out(self) -> None:
        """Waits for the answers to what was sent, which may still be refused or be reported, then says goodbye. Raises TimedOut."""
        self._notice_loss()
        deadline = time.monotonic() + self._timeout
        while self._failures.loss is None and self._sent.pending > 0 and time.monotonic() < deadline:
            self._wait_a_little(deadline)
        deadline = time.monotonic() + self._timeout
        logout = logout_message()
        is_sent = False
        while self._failures.loss is None:
            is_sent = is_sent or self.socket.send(logout) == SendStatus.SENT
            if time.monotonic() >= deadline:
                raise TimedOut("answer to the logout", where=self._where, found="none", allowed=f"one within {self._timeout} s")
            self._wait_a_little(deadline, to_send=not is_sent)

    def _look(self) -> None:
        """Takes what has come, notices a lost connection, keeps the session alive, and sends again what was refused and is due."""
        self._notice_loss()
        if self._failures.loss is not None:
            return
        is_heard = False
        for _ in range(_DRAIN_FRAMES):
            frame = self.socket.receive()
            if frame is None:
                break
            is_heard = True
            self._read(frame)
            if self._failures.loss is not None:
                return
        self._keep_alive(is_heard)
        if self._failures.loss is None and self._sent.may_send_again and time.monotonic() >= self._sent.resend_at:
            while (refused := self._sent.next_refused) is not None and self._try_send(refused):
                self._sent.drop_refused()

    def _send_frame(self, part: SentFrame) -> None:
        """Sends one frame. Raises TimedOut where there is no room in time."""
        deadline = time.monotonic() + self._timeout
        while not self._try_send(part):
            self._failures.raise_next()
            if time.monotonic() >= deadline:
                raise TimedOut("room in the queue to the server", where=self._where, found="none", allowed=f"some within {self._timeout} s")
            self._wait_a_little(deadline, to_send=True)
            self._failures.raise_next()

    def _try_send(self, part: SentFrame) -> bool:
        """Hands one frame to the socket, if that is connected and has room."""
        self._notice_loss()
        if self._failures.loss is not None or self.socket.send(part.messages.view("u1").data) != SendStatus.SENT:
            return False
        self._liveness.note_sent(time.monotonic())
        self._sent.add(part)
        return True

    def _wait_a_little(self, deadline: float, to_send: bool = False) -> None:
        """Sleeps until something happens, `deadline` at most, and does what it takes."""
        now = time.monotonic()
        until = min(deadline, now + self._liveness.look_every, self._sent.resend_at if self._sent.may_send_again else deadline)
        self.socket.wait(max(0.0, until - now), to_send=to_send)
        self._look()

    def _read(self, frame: bytes) -> None:
        template = template_of(frame, self._where)
        if template in REPORT_TEMPLATES:
            self._sent.count_answers(self._received.add(frame))
        elif template == FRAME_REJECT:
            self._read_rejection(frame_reject(frame))
        elif template == LOGOUT:
            end = session_end(logout_reason(frame), self._where)
            self._lose(end.what, str(end.found), end.allowed, end.reason)
        elif template != HEARTBEAT:
            allowed = "ExecutionReport, AttributesReport, FrameReject, Heartbeat or Logout"
            raise InvalidValueError("template", where=self._where, found=template, allowed=allowed)

    def _read_rejection(self, reject: np.void) -> None:
        if reject["reason"] == Reason.BUSY and self._sent.take_back(reject):
            return
        if reject["reason"] == Reason.UNKNOWN_TEMPLATE and reject["found"] == HEARTBEAT:
            return  # a server of before there were heartbeats: it is alive
        self._sent.forget(int(reject["rejected_count"]))
        self._failures.add(rejection(reject, self._where))

    def _keep_alive(self, is_heard: bool) -> None:
        """Says something where that is due, asks where nothing was heard for long, and gives the session up where that does not help."""
        now = time.monotonic()
        self._liveness.look(is_heard, now)
        if self._liveness.is_over:
            self._lose("session", f"nothing heard for {self._liveness.limit} s", "a sign of life of the server")
            return
        if self._liveness.is_heartbeat_due(now):
            heartbeat = heartbeat_message(self._liveness.heartbeat_count + 1)
            if self.socket.send(heartbeat) == SendStatus.SENT:
                self._liveness.note_heartbeat(now)

    def _notice_loss(self) -> None:
        if self._failures.loss is not None:
            return
        if self.socket.is_closed:
            self._lose("connection", "closed with its context", "an open connection")
            return
        self.socket.read_connection()
        if not self.socket.is_lost:
            return
        unread_bytes = 0
        while self._failures.loss is None and (frame := self.socket.receive()) is not None:  # came before the loss was noticed
            self._read(frame)
            unread_bytes += len(frame)
        found = "closed by the server or the network"
        if unread_bytes >= _UNREAD_MANY_BYTES:  # the server's Logout stood behind more of them, and did not arrive
            found += f", with {unread_bytes:,} bytes unread: a server ends a session that does not read (SLOW_CONSUMER)"
        self._lose("connection", found, "an open connection")

    def _lose(self, what: str, found: str, allowed: str, reason: Reason = Reason.NONE) -> None:
        """Ends the session here, if it has not ended. What was received stays."""
        if self._failures.loss is not None:
            return
        unanswered = self._sent.unanswered
        if unanswered:
            found = f"{found}; {len(unanswered)} commands are unanswered"
        loss = SessionLost(what, where=self._where, found=found, allowed=allowed)
        loss.reason, loss.unanswered = reason, unanswered
        self._failures.loss = loss
        self.socket.close(0)  # libzmq would connect again, and send what it still holds to a server that does not know the session
