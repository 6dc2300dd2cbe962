"""Whether a server still lives, and when it has to hear that its client does."""

from __future__ import annotations

import time
from typing import Final

from ome.errors import InvalidValueError

__all__ = ["Liveness"]

_ASK_AFTER: Final = 1.0  # seconds of silence before the server is asked for a sign of life
_LOOK_EVERY: Final = 0.25  # seconds of waiting at most before the session is looked after
_HEARTBEAT_MIN: Final = 0.1  # seconds
_HEARTBEAT_MAX: Final = 60.0


class Liveness:
    """The silences of a session, in seconds: the server's, which counts only while methods run, and the client's.

    `look_every` is how long a method may wait before it looks again. Raises InvalidValueError for seconds that cannot be.
    """

    def __init__(self, limit: float, heartbeat: float | None) -> None:
        if not limit > 0:
            raise InvalidValueError("liveness", found=limit, allowed="a number of seconds above 0")
        if heartbeat is not None and not _HEARTBEAT_MIN <= heartbeat <= _HEARTBEAT_MAX:
            raise InvalidValueError("heartbeat", found=heartbeat, allowed=f"{_HEARTBEAT_MIN} to {_HEARTBEAT_MAX} s, or None")
        self.limit = limit
        self.look_every = min(_LOOK_EVERY, limit / 4, _LOOK_EVERY if heartbeat is None else heartbeat / 2)
        self.heartbeat_count = 0
        self._heartbeat = heartbeat
        self._looked_at = self._said_at = time.monotonic()
        self._silence = 0.0  # seconds in which methods ran and heard nothing
        self._is_asked = False  # for a sign of life

    def look(self, is_heard: bool, now: float) -> None:
        """A method looked for what came, and there was something or not."""
        if is_heard:
            self._silence, self._is_asked = 0.0, False
        else:  # what the program did between two looks, or that it was stopped, is no silence
            self._silence += min(now - self._looked_at, self.look_every)
        self._looked_at = now

    @property
    def is_over(self) -> bool:
        """Whether nothing was heard for so long that the session is lost."""
        return self._silence >= self.limit

    def is_heartbeat_due(self, now: float) -> bool:
        """Whether the server is to be asked for a sign of life, or to be given one."""
        is_asking = not self._is_asked and self._silence >= min(_ASK_AFTER, self.limit / 2)
        return is_asking or (self._heartbeat is not None and now - self._said_at >= self._heartbeat / 2)

    def note_sent(self, now: float) -> None:
        """A frame went to the server, which is a sign of life."""
        self._said_at = now

    def note_heartbeat(self, now: float) -> None:
        """A heartbeat went to the server, which will answer it."""
        self.heartbeat_count += 1
        self._said_at = now
        self._is_asked = True
