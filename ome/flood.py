"""A bound for what others can cause: so many of a kind pass in each second, and the rest is counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

__all__ = ["Flood"]

_SECOND_S: Final = 1.0


@dataclass(slots=True)
class _Second:
    """Of one kind: when its second began, how many have passed in it, and how many were held back and not told yet."""

    begin_s: float
    passed: int = 0
    suppressed: int = 0


class Flood:
    """Lets `most` of each kind pass in a second. Any thread. `clock` gives seconds that only go forward.

    >>> flood = Flood(clock=lambda: 0.0)
    >>> [flood.passes("refusal", 2) for _ in range(5)], flood.take(all_of_them=True)
    ([True, True, False, False, False], {'refusal': 3})
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seconds: dict[str, _Second] = {}

    def passes(self, kind: str, most: int) -> bool:
        """Whether one more of the kind passes; one that does not is counted."""
        now_s = self._clock()
        with self._lock:
            second = self._seconds.setdefault(kind, _Second(now_s))
            if now_s - second.begin_s >= _SECOND_S:
                second.begin_s, second.passed = now_s, 0
            if second.passed >= most:
                second.suppressed += 1
                return False
            second.passed += 1
            return True

    def take(self, *, all_of_them: bool = False) -> dict[str, int]:
        """How many of each kind were held back in a second that is over, or also in this one. Each is given once."""
        now_s = self._clock()
        with self._lock:
            over = {
                kind: second
                for kind, second in self._seconds.items()
                if second.suppressed and (all_of_them or now_s - second.begin_s >= _SECOND_S)
            }
            counts = {kind: second.suppressed for kind, second in over.items()}
            for second in over.values():
                second.suppressed = 0
        return counts
