"""What was sent and not answered, and what of it is to be sent again.

A frame that was sent stays here until its commands are answered, because the server may find its ring full and refuse the end of a frame
(BUSY): that end is sent again, with the same session sequences. A refusal names the session sequence where it starts, and so its frame.

Answers come in the order of the commands, but for orders refused before they were sequenced. So what is answered is counted; those few are
taken out of the count by their client order ids.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import numpy as np
import numpy.typing as npt

from ome.client.errors import TimedOut
from ome.client.failures import Failures
from ome.client.reports import Reports, answer_count, early_rejections
from ome.enums import CommandKind
from ome.errors import InvalidValueError

__all__ = ["SentFrame", "SentFrames", "cut"]

_ORDER_TERMS: Final = int(CommandKind.ORDER_TERMS)
_BUSY_WAIT_MIN: Final = 0.001  # seconds before the refused end of a frame is sent again; doubles to the maximum
_BUSY_WAIT_MAX: Final = 0.05


@dataclass(slots=True)
class SentFrame:
    """Messages that were sent in one frame: a run of an array whose rows are messages."""

    messages: npt.NDArray[np.void]
    first_sequence: int
    sent_count_end: int = 0
    """Commands sent up to the end of this frame, without those that were answered early."""
    early: set[int] = field(default_factory=set)
    """Client order ids of its new orders whose answers overtook those of others."""

    @property
    def command_count(self) -> int:
        """Terms belong to the command before them."""
        return int(np.count_nonzero(self.messages["template_id"] != _ORDER_TERMS))

    def has_new_order(self, client_order_id: int) -> bool:
        """Whether a NewOrder with this id is in the frame, and was not answered early."""
        found = (self.messages["client_order_id"] == client_order_id) & (self.messages["template_id"] == CommandKind.NEW_ORDER)
        return client_order_id not in self.early and bool(found.any())

    def client_order_ids(self) -> list[int]:
        """Those of its commands, without those that were answered early."""
        commands = self.messages[self.messages["template_id"] != _ORDER_TERMS]
        ids = commands["client_order_id"].tolist()
        if not self.early:
            return list(ids)
        return [
            client_order_id
            for client_order_id, template in zip(ids, commands["template_id"].tolist(), strict=True)
            if template != CommandKind.NEW_ORDER or client_order_id not in self.early
        ]


def cut(messages: npt.NDArray[np.void], most: int) -> list[npt.NDArray[np.void]]:
    """Frames of at most so many messages. Terms stay with the command that they belong to; InvalidValueError where they cannot."""
    is_terms = messages["template_id"] == _ORDER_TERMS
    frames = []
    start = 0
    while start < len(messages):
        end = min(start + most, len(messages))
        while start < end < len(messages) and is_terms[end]:
            end -= 1
        if end == start:
            raise InvalidValueError("command", found=f"more than {most} messages", allowed="as many as a frame may have")
        frames.append(messages[start:end])
        start = end
    return frames


class SentFrames:
    """The frames of a session whose commands are not all answered, and the ends of frames that a busy server refused.

    `timeout` is how many seconds the server may be busy without a word until that is an error, which goes to `failures`.
    """

    def __init__(self, where: str, timeout: float, failures: Failures) -> None:
        self._where = where
        self._timeout = timeout
        self._failures = failures
        self._sent: deque[SentFrame] = deque()
        self._refused: list[SentFrame] = []  # to be sent again, in the order of their sequences
        self._sent_count = 0  # commands whose answers come in their turn, without those refused
        self._answered_count = 0  # of them
        self._busy_wait = _BUSY_WAIT_MIN
        self._progress_at = 0.0
        self.resend_at = 0.0
        """When what was refused is due again."""

    @property
    def pending(self) -> int:
        """Commands sent that no report received so far answers."""
        return self._sent_count - self._answered_count + sum(part.command_count for part in self._refused)

    @property
    def unanswered(self) -> tuple[int, ...]:
        """Client order ids of the commands that no report received so far answers, oldest first."""
        ids = [client_order_id for part in self._sent for client_order_id in part.client_order_ids()]
        answered = len(ids) - (self._sent_count - self._answered_count)
        refused = [client_order_id for part in self._refused for client_order_id in part.client_order_ids()]
        return tuple(ids[max(0, answered) :] + refused)

    @property
    def next_refused(self) -> SentFrame | None:
        """The first that is to be sent again. Until it is, what comes later must not overtake it."""
        return self._refused[0] if self._refused else None

    @property
    def may_send_again(self) -> bool:
        """Whether something was refused, and all that was sent behind it too. Until then a new frame could overtake one of these."""
        if not self._refused:
            return False
        return not self._sent or (self._sent[-1].first_sequence - self._refused[0].first_sequence) % 2**32 >= 2**31

    def add(self, part: SentFrame) -> None:
        """A frame was sent, for the first time or again."""
        self._sent_count += part.command_count
        part.sent_count_end = self._sent_count
        self._sent.append(part)

    def drop_refused(self) -> None:
        """The first that was refused was sent again."""
        del self._refused[0]

    def note_progress(self, now: float) -> None:
        """The server took commands."""
        self._progress_at = now
        self._busy_wait = _BUSY_WAIT_MIN

    def begin(self, now: float) -> None:
        """Commands are about to be sent while none is pending: the server is not busy until it refuses some."""
        self._progress_at = now

    def count_answers(self, reports: Reports) -> None:
        """Counts the commands that reports answer, and forgets the frames of commands that are answered whole."""
        early = early_rejections(reports)
        self._answered_count += answer_count(reports) - len(early)
        for client_order_id in early:
            self._count_early(client_order_id)
        while self._sent and self._sent[0].sent_count_end <= self._answered_count:
            self._sent.popleft()
        self.note_progress(time.monotonic())

    def forget(self, message_count: int) -> None:
        """A frame of so many messages was refused whole, and for good: it is the first of that size that has not been answered."""
        position = next((position for position, part in enumerate(self._sent) if len(part.messages) == message_count), None)
        if position is None:
            self._answered_count += message_count
        else:
            self._uncount(position, self._sent[position].command_count)
            del self._sent[position]

    def take_back(self, reject: np.void) -> bool:
        """Keeps the end of a frame that a busy server did not take, to send it again. False where the refusal names no frame."""
        if bytes(reject["field"]) != b"session_sequence":
            return False
        first_sequence, count = int(reject["found"]), int(reject["rejected_count"])
        for position in range(len(self._sent) - 1, -1, -1):
            part = self._sent[position]
            index = (first_sequence - part.first_sequence) % 2**32
            if index + count == len(part.messages):
                break
        else:
            return False
        refused = SentFrame(part.messages[index:], part.first_sequence + index)
        self._uncount(position, refused.command_count)
        part.messages = part.messages[:index]
        if index == 0:
            del self._sent[position]
        self._refused.append(refused)
        self._refused.sort(key=lambda waiting: waiting.first_sequence)
        self._pause(has_progress=bool(reject["accepted_count"] > 0))
        return True

    def _pause(self, *, has_progress: bool) -> None:
        """Sets when to send again; complains where the server has been busy for too long."""
        now = time.monotonic()
        if has_progress:
            self.note_progress(now)
        elif now - self._progress_at > self._timeout:
            found = f"{sum(part.command_count for part in self._refused)} commands refused"
            self._failures.add(TimedOut("server is busy", where=self._where, found=found, allowed=f"room within {self._timeout} s"))
        self.resend_at = now + self._busy_wait
        self._busy_wait = min(_BUSY_WAIT_MAX, 2 * self._busy_wait)

    def _count_early(self, client_order_id: int) -> None:
        """Takes a new order that was refused out of its turn out of the count."""
        for position in range(len(self._sent) - 1, -1, -1):
            if self._sent[position].has_new_order(client_order_id):
                self._sent[position].early.add(client_order_id)
                self._uncount(position, 1)
                return
        self._answered_count += 1

    def _uncount(self, position: int, count: int) -> None:
        """Of the frame at this position of what was sent, so many commands are no longer waited for in their turn."""
        for part in islice(self._sent, position, None):
            part.sent_count_end -= count
        self._sent_count -= count
