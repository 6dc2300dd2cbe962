"""Logon: the first exchange on a connection, in which the server says where the session is and which instruments there are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ome.client.directory import InstrumentDirectory
from ome.client.errors import LogonRefused, check_address, explain
from ome.client.frames import fields_of, reason_of
from ome.codec.layouts import COMMAND_MESSAGE, LOGON_ANSWER_MESSAGE
from ome.codec.requests import CancelOnDisconnectName, logon_message
from ome.enums import Policy, Reason
from ome.errors import InvalidValueError
from ome.units import Integer, integer_of

__all__ = ["Logon", "LogonOptions", "read_logon"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogonOptions:
    """Who logs on, and what it asks for. Raises as `logon_message`."""

    participant: str
    session_number: Integer = 0
    heartbeat: float | None = None
    next_report: Integer | None = None
    cancel_on_disconnect: CancelOnDisconnectName = "never"
    takeover: bool = True
    login_id: Integer = 0
    secret: bytes | str | None = None
    drop_copy: bool = False

    def __str__(self) -> str:
        return f"drop copy of {self.participant}" if self.drop_copy else f"session {self.session_number} of {self.participant}"

    def __post_init__(self) -> None:
        if self.next_report is not None:
            integer_of(self.next_report, "next_report", 1)
        self.message(0)

    def message(self, next_report: int) -> bytes:
        """The Logon that asks for the reports from this one on, 0 for only new ones."""
        return logon_message(
            self.participant,
            self.session_number,
            self.heartbeat,
            next_report=next_report,
            cancel_on_disconnect=self.cancel_on_disconnect,
            takeover=self.takeover,
            login_id=self.login_id,
            secret=self.secret,
            drop_copy=self.drop_copy,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Logon:
    """What the server said at the last logon: LogonAnswer, field by field."""

    epoch: int
    server_time_ns: int
    engine_sequence: int
    report_sequence: int
    first_report_sequence: int
    login_id: int
    command_sequence: int
    frame_message_count_max: int
    heartbeat_ms: int
    message_rate_max: int
    in_flight_max: int
    participant: int
    session: int
    policy: Policy
    feed_endpoint: str
    requests_endpoint: str


def read_logon(frame: bytes, where: str) -> tuple[Logon, InstrumentDirectory]:
    """The answer to a logon. Raises LogonRefused, whose `found` is the reason, and InvalidValueError for one that is not the protocol's."""
    answer = fields_of(frame)
    check_address(answer, "orders", where)
    if answer["reason"] != Reason.NONE:
        raise LogonRefused(f"logon ({explain(answer['reason'])})", where=where, found=reason_of(answer["reason"]))
    count = int(answer["instrument_count"])
    if len(frame) != LOGON_ANSWER_MESSAGE.itemsize + count * COMMAND_MESSAGE.itemsize:
        found = f"{len(frame) - LOGON_ANSWER_MESSAGE.itemsize} bytes"
        raise InvalidValueError("instruments", where=where, found=found, allowed=f"{count} messages of {COMMAND_MESSAGE.itemsize} bytes")
    definitions = np.frombuffer(bytearray(frame[LOGON_ANSWER_MESSAGE.itemsize :]), COMMAND_MESSAGE)
    logon = Logon(
        epoch=int(answer["epoch"]),
        server_time_ns=int(answer["server_time_ns"]),
        engine_sequence=int(answer["engine_sequence"]),
        report_sequence=int(answer["report_sequence"]),
        first_report_sequence=int(answer["first_report_sequence"]),
        login_id=int(answer["login_id"]),
        command_sequence=int(answer["command_sequence"]),
        frame_message_count_max=int(answer["frame_message_count_max"]),
        heartbeat_ms=int(answer["heartbeat_ms"]),
        message_rate_max=int(answer["message_rate_max"]),
        in_flight_max=int(answer["in_flight_max"]),
        participant=int(answer["participant"]),
        session=int(answer["session"]),
        policy=Policy(int(answer["policy"])),
        feed_endpoint=bytes(answer["feed_endpoint"]).decode("ascii", "replace"),
        requests_endpoint=bytes(answer["requests_endpoint"]).decode("ascii", "replace"),
    )
    return logon, InstrumentDirectory.from_definitions(definitions)
