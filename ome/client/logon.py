"""Logon: the first exchange with a server, in which it says who the session is and which instruments there are."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from ome.client.directory import InstrumentDirectory
from ome.client.errors import LogonRefused, SessionLost, TimedOut, explain
from ome.client.frames import (
    FRAME_REJECT,
    LOGON_ANSWER,
    LOGOUT,
    frame_reject,
    logout_reason,
    reason_of,
    rejection,
    session_end,
    template_of,
)
from ome.codec.layouts import COMMAND_MESSAGE, LOGON_ANSWER_MESSAGE
from ome.enums import Policy, Reason
from ome.errors import InvalidValueError
from ome.transport import ClientSocket, why_no_connection

__all__ = ["Logon", "log_on"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Logon:
    """What the server said at logon: LogonAnswer, field by field."""

    epoch: int
    server_time_ns: int
    engine_sequence: int
    report_sequence: int
    frame_message_count_max: int
    participant: int
    session: int
    policy: Policy


def log_on(socket: ClientSocket, frame: bytes, *, endpoint: str, where: str, timeout: float) -> tuple[Logon, InstrumentDirectory]:
    """Sends the frame of a Logon and waits for the answer, `timeout` seconds at most. `where` names the session in errors.

    Raises LogonRefused, FrameRejected or SessionLost where the server says no, TimedOut where it says nothing, InvalidValueError for an
    answer that is not the protocol's.
    """
    deadline = time.monotonic() + timeout
    socket.send(frame)
    while (answer := socket.receive()) is None:
        socket.read_connection()
        if socket.is_refused:
            allowed = "a key that the venue admits for order entry"
            raise LogonRefused("connection", where=where, found="a key that the server does not admit", allowed=allowed)
        if socket.is_lost:
            raise SessionLost("connection", where=where, found="closed before the logon was answered", allowed="a LogonAnswer")
        if time.monotonic() >= deadline:
            is_connected = socket.connection_count > 0
            found = "no answer" if is_connected else f"no connection: {why_no_connection(endpoint)}"
            if socket.has_failed and not is_connected:
                found += "; the handshake failed, as it does when only one side has keys, or the server another one"
            raise TimedOut("answer to the logon", where=where, found=found, allowed=f"one within {timeout} s")
        socket.wait(deadline - time.monotonic())
    return _read_answer(answer, where)


def _read_answer(frame: bytes, where: str) -> tuple[Logon, InstrumentDirectory]:
    template = template_of(frame, where)
    if template == FRAME_REJECT:
        raise rejection(frame_reject(frame), where)
    if template == LOGOUT:
        raise session_end(logout_reason(frame), where)
    if template != LOGON_ANSWER:
        raise InvalidValueError("template", where=where, found=template, allowed="LogonAnswer, FrameReject or Logout")
    answer = np.frombuffer(frame, LOGON_ANSWER_MESSAGE, count=1)[0]
    if answer["reason"] != Reason.NONE:
        raise LogonRefused(f"logon ({explain(answer['reason'])})", where=where, found=reason_of(answer["reason"]))
    definitions = np.frombuffer(bytearray(frame[LOGON_ANSWER_MESSAGE.itemsize :]), COMMAND_MESSAGE)
    if len(definitions) != int(answer["instrument_count"]):
        raise InvalidValueError("instruments", where=where, found=len(definitions), allowed=str(int(answer["instrument_count"])))
    logon = Logon(
        epoch=int(answer["epoch"]),
        server_time_ns=int(answer["server_time_ns"]),
        engine_sequence=int(answer["engine_sequence"]),
        report_sequence=int(answer["report_sequence"]),
        frame_message_count_max=int(answer["frame_message_count_max"]),
        participant=int(answer["participant"]),
        session=int(answer["session"]),
        policy=Policy(int(answer["policy"])),
    )
    return logon, InstrumentDirectory.from_definitions(definitions)
