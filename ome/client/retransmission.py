"""What was sent and not answered, and what of it is to be sent again.

A message stays here until a report answers its command. Each has its number, the session sequence: the server takes the numbers one after
another, and says where it stands. What it has not taken is sent again with the same number, so that each message is taken exactly once.

Answers come in the order of the commands. A report may look like an answer and be none: another session of the participant has cancelled
the order, or the venue has, because the connection was lost. So an answer is one that fits the oldest command.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np
import numpy.typing as npt

from ome.client.reports import Reports, answered_kinds
from ome.codec.wire import next_number, session_sequences
from ome.enums import CommandFlags, CommandKind, EventKind, Term
from ome.errors import InvalidValueError

__all__ = ["SentFrame", "SentFrames", "cut"]

_ORDER_TERMS: Final = int(CommandKind.ORDER_TERMS)
_NEW_ORDER: Final = int(CommandKind.NEW_ORDER)
_BY_ORDER_ID: Final = int(CommandFlags.BY_ORDER_ID)
_NUMBERS: Final = 2**32 - 1
_CERTAIN: Final = (EventKind.ACCEPTED, EventKind.REJECTED, EventKind.COMPLETED)  # cannot be what another session caused

Messages = npt.NDArray[np.void]
"""A one-dimensional array of dtype COMMAND_MESSAGE."""


class SentFrame:
    """Messages of one frame, whole commands: for each command where it starts, what it asks for, and the ids that its answer may have.

    `was_sent`: over any connection, so that an answer may come.
    """

    __slots__ = ("_by_order_id", "_ids", "_new_ids", "kinds", "messages", "starts", "was_sent")

    def __init__(self, messages: Messages, *, was_sent: bool = False) -> None:
        self.messages = messages
        self.was_sent = was_sent
        self.starts = np.flatnonzero(messages["template_id"] != _ORDER_TERMS)
        commands = messages if len(self.starts) == len(messages) else messages[self.starts]
        self.kinds = commands["template_id"]
        self._ids = commands["client_order_id"]
        self._by_order_id = commands["flags"] & _BY_ORDER_ID != 0
        self._new_ids = self._ids if commands is messages else _ids_after(messages, self.starts)

    def __len__(self) -> int:
        """How many commands it has; terms belong to the command before them."""
        return len(self.starts)

    @property
    def first_sequence(self) -> int:
        """The number of its first message."""
        return int(self.messages["session_sequence"][0])

    @property
    def client_order_ids(self) -> list[int]:
        """Those of its commands."""
        return [int(number) for number in self._ids]

    def fits(self, kinds: npt.NDArray[np.uint8], reports: Reports) -> npt.NDArray[np.bool_]:
        """Which of its first commands these reports answer, one after another; `kinds` are the kinds of command that they answer."""
        count = len(reports)
        ids = reports["client_order_id"]
        is_about = (self._ids[:count] == ids) | (self._new_ids[:count] == ids)
        is_about |= self._by_order_id[:count] & (self._ids[:count] == reports["order_id"])
        fits: npt.NDArray[np.bool_] = (self.kinds[:count] == kinds) & is_about
        return fits

    def split(self, index: int) -> tuple[SentFrame, SentFrame]:
        """The messages before a command's first one, and those from it on."""
        before, after = self.messages[:index], self.messages[index:]
        return SentFrame(before, was_sent=self.was_sent), SentFrame(after, was_sent=self.was_sent)


def _ids_after(messages: Messages, starts: npt.NDArray[np.intp]) -> npt.NDArray[np.uint64]:
    """The client order ids that the orders of the commands have afterwards, where terms may change them."""
    words = messages.view("<u8").reshape(len(messages), -1)
    terms = messages.view("u1").reshape(len(messages), -1)[:, 57:60]
    ids = words[:, 2].copy()
    rows, places = np.nonzero((terms == Term.NEW_CLIENT_ORDER_ID) & (messages["template_id"] == _ORDER_TERMS)[:, np.newaxis])
    ids[starts[np.searchsorted(starts, rows, "right") - 1]] = words[rows, places + 2]
    return ids[starts]


def cut(messages: Messages, most: int) -> list[Messages]:
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
    """The frames of a session whose commands are not all answered, oldest first: some that were sent, then some that are to be sent.

    `last_sequence` is the number of the last message, `pending` counts the commands.
    """

    def __init__(self) -> None:
        self._frames: deque[SentFrame] = deque()
        self.sent_count = 0
        """Frames that were sent, or taken by the server before this connection."""
        self.message_count = 0
        """Their messages."""
        self.pending = 0
        self.last_sequence = 0
        self.has_lost_reports = False
        """Whether reports are gone that may have answered commands."""

    @property
    def unanswered(self) -> tuple[int, ...]:
        """Client order ids of the commands that no report received so far answers, oldest first."""
        return tuple(number for frame in self._frames for number in frame.client_order_ids)

    @property
    def next_frame(self) -> SentFrame | None:
        """The frame that is to be sent next, or None."""
        return self._frames[self.sent_count] if self.sent_count < len(self._frames) else None

    def add(self, messages: Messages) -> None:
        """Numbers the messages of a frame that is to be sent."""
        messages["session_sequence"] = session_sequences(next_number(self.last_sequence), len(messages))
        self.last_sequence = int(messages["session_sequence"][-1])
        frame = SentFrame(messages)
        self._frames.append(frame)
        self.pending += len(frame)

    def note_sent(self) -> None:
        """The next frame was sent."""
        frame = self._frames[self.sent_count]
        frame.was_sent = True
        self.message_count += len(frame.messages)
        self.sent_count += 1

    def answer(self, reports: Reports) -> int:
        """Forgets the commands that these reports answer; how many."""
        kinds = answered_kinds(reports)
        rows = np.flatnonzero(kinds)
        position = answered = 0
        while position < len(rows) and self._frames and self._frames[0].was_sent:
            frame = self._frames[0]
            part = rows[position : position + len(frame)]
            fits = frame.fits(kinds[part], reports[part])
            count = len(part) if fits.all() else int(fits.argmin())
            if count and not self.sent_count:
                self.note_sent()  # it was to be sent again, and has come after all
            self._forget(count)
            position, answered = position + count, answered + count
            if count < len(part):
                skipped = self._skip_to(kinds[rows[position]], reports[rows[position] : rows[position] + 1])
                position, answered = position + 1, answered + skipped
        return answered

    def rewind(self, sequence: int) -> int | None:
        """The server has taken no message from this number on: they are to be sent again.

        How many frames were sent behind the first of them; None where it never was such a message's turn.
        """
        offset = self._offset(sequence)
        if not self._frames or offset >= sum(len(frame.messages) for frame in self._frames):
            return None
        sent_count = self.sent_count
        if offset < 0:  # what was there is no longer wanted
            self._set_sent(0)
            self._number(sequence)
            return max(0, sent_count - 1)
        index = self._split_at(offset)
        sent_count = max(self.sent_count, index + 1)  # of frames as they are now: one may have become two
        self._set_sent(index)
        return sent_count - index - 1

    def resume(self, sequence: int) -> bool:
        """A logon says that the server has taken everything up to this number: the rest is to be sent again.

        False where it has taken more than was sent, which somebody else has sent.
        """
        offset = self._offset(next_number(sequence))
        if offset < 0:  # it has lost what it took
            self._set_sent(0)
            self._number(next_number(sequence))
            return True
        if offset > sum(len(frame.messages) for frame in self._frames):
            return False
        self._set_sent(self._split_at(offset))
        return True

    def take_out_new_orders(self) -> tuple[int, ...]:
        """Leaves the new orders out of what is to be sent, and numbers the rest; their client order ids."""
        first = self._frames[self.sent_count].first_sequence if self.next_frame else next_number(self.last_sequence)
        taken_out: list[int] = []
        kept = []
        while len(self._frames) > self.sent_count:
            frame = self._frames.pop()
            is_new = frame.kinds == _NEW_ORDER
            taken_out[:0] = [number for number, leaves in zip(frame.client_order_ids, is_new, strict=True) if leaves]
            lengths = np.diff(frame.starts, append=len(frame.messages))
            rest = frame.messages[~np.repeat(is_new, lengths)]
            if len(rest):
                kept.append(SentFrame(rest))
        self._frames.extend(reversed(kept))
        self.pending -= len(taken_out)
        self._number(first)
        return tuple(taken_out)

    def drop_next(self) -> None:
        """The frame that is to be sent next is refused for good: those behind it have its numbers."""
        frame = self._frames[self.sent_count]
        del self._frames[self.sent_count]
        self.pending -= len(frame)
        self._number(frame.first_sequence)

    def _offset(self, sequence: int) -> int:
        """How far this number is behind the oldest message's."""
        first = self._frames[0].first_sequence if self._frames else next_number(self.last_sequence)
        return (sequence - first + _NUMBERS // 2) % _NUMBERS - _NUMBERS // 2

    def _split_at(self, offset: int) -> int:
        """Makes a frame begin with the message `offset` behind the oldest; its index."""
        for index, frame in enumerate(self._frames):
            if offset == 0:
                return index
            if offset < len(frame.messages):
                first, second = frame.split(offset)
                self._frames[index] = first
                self._frames.insert(index + 1, second)
                self.sent_count += index < self.sent_count
                return index + 1
            offset -= len(frame.messages)
        return len(self._frames)

    def _set_sent(self, count: int) -> None:
        self.sent_count = count
        self.message_count = sum(len(self._frames[index].messages) for index in range(count))

    def _number(self, sequence: int) -> None:
        """Numbers what is to be sent from `sequence` on, which is also the next number where nothing is."""
        for index in range(self.sent_count, len(self._frames)):
            messages = self._frames[index].messages
            messages["session_sequence"] = session_sequences(sequence, len(messages))
            sequence = next_number(int(messages["session_sequence"][-1]))
        self.last_sequence = (sequence - 2) % _NUMBERS + 1

    def _forget(self, count: int) -> None:
        """The oldest commands are answered."""
        self.pending -= count
        while count > 0:
            frame = self._frames[0]
            if count < len(frame):
                index = int(frame.starts[count])
                self._frames[0] = frame.split(index)[1]
                self.message_count -= index
                return
            self._frames.popleft()
            self.sent_count -= 1
            self.message_count -= len(frame.messages)
            count -= len(frame)

    def _skip_to(self, kind: int, report: Reports) -> int:
        """Where answers are gone: forgets the commands up to the one that this report answers for certain; how many."""
        if not self.has_lost_reports or report["kind"][0] not in _CERTAIN:
            return 0
        before = 0
        for index in range(self.sent_count):
            frame = self._frames[index]
            copies = np.repeat(report, len(frame))
            fits = frame.fits(np.full(len(frame), kind, np.uint8), copies)
            if fits.any():
                self._forget(before + int(fits.argmax()) + 1)
                return before + int(fits.argmax()) + 1
            before += len(frame)
        return 0
