"""Whether a server still lives, and when it has to hear that its client does."""

from __future__ import annotations

from typing import Final

from ome.errors import InvalidValueError

__all__ = ["LOOK_EVERY_S", "Liveness"]

_ASK_AFTER: Final = 1.0  # seconds of silence before the server is asked for a sign of life
LOOK_EVERY_S: Final = 0.25
"""Seconds at most before a session is looked after again."""


class Liveness:
    """The silences of a connection, in seconds: the server's, which counts only while the session is looked after, and the client's.

    `look_every` is how long it may be until the next look. Raises InvalidValueError for a limit that cannot be.
    """

    def __init__(self, limit: float) -> None:
        if not limit > 0:
            raise InvalidValueError("liveness", found=limit, allowed="a number of seconds above 0")
        self.limit = limit
        self.look_every = min(LOOK_EVERY_S, limit / 4)
        self._interval = 0.0
        self._said_at = 0.0
        self._silence = 0.0  # seconds in which the session was looked after and nothing was heard
        self._is_asked = False  # for a sign of life

    def begin(self, interval: float, now: float) -> None:
        """A connection is made, or has been logged on: the server wants to hear something at least every `interval` seconds; 0 is never."""
        self._interval = interval
        self.look_every = min(LOOK_EVERY_S, self.limit / 4, interval / 4 or LOOK_EVERY_S)
        self._said_at = now
        self._silence, self._is_asked = 0.0, False

    def look(self, is_heard: bool, seconds: float) -> None:
        """The session was looked after, `seconds` after the last time; something had come or not."""
        if is_heard:
            self._silence, self._is_asked = 0.0, False
        else:  # what the program did between two looks, or that it was stopped, is no silence
            self._silence += min(seconds, self.look_every)

    @property
    def is_over(self) -> bool:
        """Whether nothing was heard for so long that the connection is given up."""
        return self._silence >= self.limit

    @property
    def is_asking_due(self) -> bool:
        """Whether the server is to be asked for a sign of life."""
        return not self._is_asked and self._silence >= min(_ASK_AFTER, self.limit / 2)

    def is_heartbeat_due(self, now: float) -> bool:
        """Whether the server is to be given a sign of life."""
        return self._interval > 0 and now - self._said_at >= self._interval / 2

    def note_sent(self, now: float) -> None:
        """A frame went to the server, which is a sign of life."""
        self._said_at = now

    def note_asked(self) -> None:
        """The server will answer."""
        self._is_asked = True
