"""What can go wrong between a client and a server. A business reject is a report, and never raised."""

from __future__ import annotations

from ome.enums import DESCRIPTIONS, Reason
from ome.errors import OmeError

__all__ = ["FrameRejected", "LogonRefused", "ReportGap", "SessionLost", "TimedOut", "explain"]


class LogonRefused(OmeError):  # noqa: N818
    """The server did not admit the participant. `found` is the Reason."""


class SessionLost(OmeError):  # noqa: N818
    """The session has ended, by the server or with the connection. `found` says why. What was received before can still be read.

    `reason` is the server's, where it said one: SLOW_CONSUMER, HEARTBEAT_TIMEOUT, SESSION_TAKEN_OVER... `unanswered` are the client order
    ids of the commands that were sent and not answered, oldest first: whether they were taken, only the server knows.
    """

    reason: Reason = Reason.NONE
    unanswered: tuple[int, ...] = ()


class TimedOut(OmeError):  # noqa: N818
    """What was waited for did not come in time. The session goes on."""


class ReportGap(OmeError):  # noqa: N818
    """Reports are missing: `expected` is the report sequence that should have come, `found` the one that did. What came can be read."""

    def __init__(self, *, where: str, expected: int, found: int) -> None:
        self.expected = expected
        super().__init__("report_sequence", where=where, found=found, allowed=str(expected))


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


def explain(reason: int) -> str:
    """A reason by name, and what it means."""
    reason = int(reason)
    if reason not in DESCRIPTIONS:
        return f"reason {reason}"
    return f"{Reason(reason).name}: {DESCRIPTIONS[Reason(reason)]}"
