"""How fast a session sends: never more than the venue says that it takes, and after a refusal slowly."""

from __future__ import annotations

from typing import Final

from ome.client.errors import TimedOut
from ome.client.failures import Failures
from ome.enums import Reason

__all__ = ["Pace"]

_WINDOW_FRAMES: Final = 512  # sent without an answer, at most; after a refusal one, then twice as many with each answer
_PAUSE_MIN: Final = 0.001  # seconds before what was refused is sent again; doubles to the maximum
_PAUSE_MAX: Final = 0.05
_REFUSED_IN_A_SECOND: Final = 1_000  # messages (THROTTLED); a session with more than 4,096, with the participant's others, is ended
_REGAINED: Final = 0.1  # of the message rate in a second without a refusal: after one, it is half of what it was


class Pace:
    """When the next frame may be sent. Times are those that its caller gives.

    `timeout` is how many seconds the server may refuse everything until that is an error, which goes to `failures`.
    """

    def __init__(self, where: str, timeout: float, failures: Failures) -> None:
        self._where = where
        self._timeout = timeout
        self._failures = failures
        self.begin(0, 0, 0.0)

    def begin(self, message_rate_max: int, in_flight_max: int, now: float) -> None:
        """A logon: so many messages may be sent in a second, and so many may be unanswered; 0 is any number."""
        self._rate_max, self._in_flight_max = message_rate_max, in_flight_max
        self._rate = self._left = float(message_rate_max)
        self._filled_at = self._progress_at = now
        self._window = _WINDOW_FRAMES
        self._is_refused = False
        self._pause = _PAUSE_MIN
        self.resume_at = now
        """Before that nothing may be sent."""

    def most(self, count: int) -> int:
        """How many messages a frame may have that may have `count`: what is more than may ever be sent at once would be refused."""
        return min(count, self._rate_max or count, self._in_flight_max or count)

    def allows(self, count: int, frames: int, messages: int, now: float) -> bool:
        """Whether a frame of `count` messages may be sent while so many frames and messages are unanswered."""
        if now < self.resume_at or frames >= self._window:
            return False
        if self._in_flight_max and messages and messages + count > self._in_flight_max:
            return False
        if self._rate_max:
            self._fill(now)
            if self._left < min(count, self._rate_max):
                self.resume_at = now + (min(count, self._rate_max) - self._left) / self._rate
                return False
        return True

    def note_sent(self, count: int, now: float, *, is_first: bool) -> None:
        """A frame of so many messages was sent; `is_first`: nothing else was unanswered."""
        self._left -= count
        if is_first and not self._is_refused:
            self._progress_at = now

    def note_answered(self, now: float) -> None:
        """The server answered commands."""
        self._progress_at = now
        self._is_refused = False
        self._window = min(_WINDOW_FRAMES, 2 * self._window)
        self._pause = _PAUSE_MIN

    def note_refused(self, reason: Reason, count: int, unanswered: int, now: float) -> None:
        """The server did not take `count` messages of a frame for now, and so many commands are unanswered.

        Complains where that has lasted for too long.
        """
        if now - self._progress_at > self._timeout:
            self._progress_at = now
            found = f"{unanswered} commands unanswered ({reason.name})"
            self._failures.add(TimedOut("server is busy", where=self._where, found=found, allowed=f"room within {self._timeout} s"))
        self._window = 1
        self._is_refused = True
        pause = self._pause
        if reason is Reason.THROTTLED:
            if not self._in_flight_max:  # otherwise it is probably that: the participant's other sessions have the rest
                self._rate, self._left = max(1.0, self._rate / 2), 0.0
                self._filled_at = now
            pause = max(pause, count / _REFUSED_IN_A_SECOND)
        self.resume_at = now + pause
        self._pause = min(_PAUSE_MAX, 2 * self._pause)

    def _fill(self, now: float) -> None:
        seconds = max(0.0, now - self._filled_at)
        self._filled_at = now
        self._rate = min(self._rate_max, self._rate + _REGAINED * self._rate_max * seconds)
        self._left = min(self._rate_max, self._left + self._rate * seconds)
