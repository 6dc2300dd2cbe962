"""What can go wrong between a client and a server. A business reject is a report, and never raised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ome.enums import DESCRIPTIONS, Reason
from ome.errors import OmeError

__all__ = [
    "FrameRejected",
    "LogonRefused",
    "OrdersRefused",
    "ReportGap",
    "SessionLost",
    "TimedOut",
    "check_address",
    "explain",
    "not_admitted",
]


class LogonRefused(OmeError):  # noqa: N818
    """The server did not admit the participant. `found` is the Reason; a text where the key or the address is wrong."""


class SessionLost(OmeError):  # noqa: N818
    """The session has ended, by the server or with the connection. `found` says why. What was received before can still be read.

    `reason` is the server's, where it said one: SESSION_TAKEN_OVER, ENGINE_STOPPED... `unanswered` are the client order ids of the commands
    that were sent and not answered, oldest first: whether they were taken, the next logon says.
    """

    reason: Reason = Reason.NONE
    unanswered: tuple[int, ...] = ()


class TimedOut(OmeError):  # noqa: N818
    """What was waited for did not come in time. The session goes on."""


class ReportGap(OmeError):  # noqa: N818
    """The venue does not have reports that it had: `expected` is the report that should have come, `found` the one that comes next.

    `reason` is REPORTS_GONE where it no longer has reports that old, SEQUENCE_GAP where it has lost newer ones: then it begins again behind
    `found`, and orders are to be compared with the market. The session goes on.
    """

    def __init__(self, *, where: str, expected: int, found: int, reason: Reason = Reason.REPORTS_GONE) -> None:
        self.expected = expected
        self.reason = reason
        super().__init__(f"report_sequence ({explain(reason)})", where=where, found=found, allowed=str(expected))


class OrdersRefused(OmeError):  # noqa: N818
    """The venue took new orders of the session not at all (STORAGE_LOW): they were not sequenced, and nothing is reported about them.

    `client_order_ids` are theirs, in the order in which they were sent. Other commands are sent without them. The session goes on.
    """

    reason: Reason = Reason.STORAGE_LOW
    client_order_ids: tuple[int, ...] = ()


class FrameRejected(OmeError):  # noqa: N818
    """The server did not take a frame, or its end: a FrameReject, field by field. Nothing counted as rejected reached the engine."""

    def __init__(
        self,
        *,
        where: str,
        reason: Reason,
        field: str,
        found: int,
        allowed: int,
        message_index: int,
        byte_offset: int,
        accepted_count: int,
        rejected_count: int,
    ) -> None:
        self.reason = reason
        self.field = field
        self.message_index = message_index
        self.byte_offset = byte_offset
        self.accepted_count = accepted_count
        self.rejected_count = rejected_count
        self.value_allowed = allowed
        place = f"{field or 'frame'} of message {message_index}, byte {byte_offset} of the frame"
        why = f"{explain(reason)}; {accepted_count} taken, {rejected_count} not"
        super().__init__(f"{place} ({why})", where=where, found=found, allowed=str(allowed))


def not_admitted(where: str) -> LogonRefused:
    """The server does not admit the key of the connection."""
    allowed = "a key that the venue admits for order entry"
    return LogonRefused("connection", where=where, found="a key that the server does not admit", allowed=allowed)


def check_address(answer: np.void | Mapping[str, Any], wants: str, where: str) -> None:
    """Raises LogonRefused where a LogonAnswer is that of an address for something else; `wants` is "orders" or "requests"."""
    found = "requests" if answer["frame_message_count_max"] == 1 else "orders"  # docs/PROTOCOL.md, Requests
    if found != wants:
        told = bytes(answer["requests_endpoint"]).rstrip(b"\0").decode("ascii", "replace") if wants == "requests" else ""
        allowed = f"the venue's address for {wants}" + (f", which is {told}" if told else "")
        raise LogonRefused("address", where=where, found=f"the venue's address for {found}", allowed=allowed)


def explain(reason: int) -> str:
    """A reason by name, and what it means."""
    reason = int(reason)
    if reason not in DESCRIPTIONS:
        return f"reason {reason}"
    return f"{Reason(reason).name}: {DESCRIPTIONS[Reason(reason)]}"
