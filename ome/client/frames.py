"""The frames of a server, one by one: which message a frame is, its fields, and what a FrameReject or a Logout means to its session."""

from __future__ import annotations

import struct
from typing import Final

import numpy as np

from ome.client.errors import FrameRejected, SessionLost, explain
from ome.client.reports import REPORT_TEMPLATES
from ome.codec.layouts import HEADER_SIZE, SCHEMA_ID, SCHEMA_VERSION, TEMPLATES
from ome.codec.wire import template_id
from ome.enums import DESCRIPTIONS, Reason
from ome.errors import InvalidValueError

__all__ = [
    "FRAME_REJECT",
    "HEARTBEAT",
    "LOGON_ANSWER",
    "LOGOUT",
    "RESEND_ANSWER",
    "TEST_REQUEST",
    "fields_of",
    "reason_of",
    "rejection",
    "session_end",
    "template_of",
]

LOGON_ANSWER: Final = template_id("LogonAnswer")
LOGOUT: Final = template_id("Logout")
FRAME_REJECT: Final = template_id("FrameReject")
HEARTBEAT: Final = template_id("Heartbeat")
TEST_REQUEST: Final = template_id("TestRequest")
RESEND_ANSWER: Final = template_id("ResendAnswer")
_HEADER: Final = struct.Struct("<4H")


def template_of(frame: bytes, where: str) -> int:
    """The template of a frame's first message, 0 for one of a later server. Raises InvalidValueError where it is not whole, or not ours."""
    header = _HEADER.unpack_from(frame) if len(frame) >= HEADER_SIZE else (0, 0, 0, 0)
    block_length, template, schema, version = header
    size = block_length + HEADER_SIZE
    is_ours = (schema, version) == (SCHEMA_ID, SCHEMA_VERSION)
    if is_ours and template not in TEMPLATES:
        return 0
    is_known = is_ours and block_length == TEMPLATES[template][1]
    is_whole = (
        len(frame) % size == 0 if template in REPORT_TEMPLATES else len(frame) >= size if template == LOGON_ANSWER else len(frame) == size
    )
    if not (is_known and is_whole):
        found = f"{len(frame)} bytes with the header {header}"
        raise InvalidValueError(
            "frame", where=where, found=found, allowed=f"whole messages of schema {SCHEMA_ID}, version {SCHEMA_VERSION}"
        )
    return int(template)


def fields_of(frame: bytes) -> np.void:
    """The fields of a frame's first message, which `template_of` has found to be whole."""
    fields: np.void = np.frombuffer(frame, TEMPLATES[_HEADER.unpack_from(frame)[1]][2], count=1)[0]
    return fields


def reason_of(value: int) -> Reason:
    """NONE for a reason of a later version: `explain` still gives its number."""
    return Reason(int(value)) if int(value) in DESCRIPTIONS else Reason.NONE


def rejection(reject: np.void, where: str) -> FrameRejected:
    """What a FrameReject means."""
    return FrameRejected(
        where=where,
        reason=reason_of(reject["reason"]),
        field=bytes(reject["field"]).decode("ascii", "replace"),
        found=int(reject["found"]),
        allowed=int(reject["allowed"]),
        message_index=int(reject["message_index"]),
        byte_offset=int(reject["byte_offset"]),
        accepted_count=int(reject["accepted_count"]),
        rejected_count=int(reject["rejected_count"]),
    )


def session_end(reason: int, where: str) -> SessionLost:
    """What a Logout with this reason means."""
    is_asked_for = reason in (Reason.NONE, Reason.REQUESTED)
    what, found = ("logout", "logged out") if is_asked_for else ("session", explain(reason))
    lost = SessionLost(what, where=where, found=found, allowed="a session that is logged on")
    lost.reason = Reason.NONE if is_asked_for else reason_of(reason)
    return lost
