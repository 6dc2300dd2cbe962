"""Tops and snapshots of levels that have not come, and when to ask a server for them again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

from ome.marketdata import Channel

__all__ = ["ASK_PAUSE_S", "Awaited", "Topic"]

_WAIT_MIN: Final = 0.5  # seconds before a snapshot or a top that did not come is asked for again; doubles to the maximum
_WAIT_MAX: Final = 8.0
_ASK_COUNT: Final = 100  # of them asked for at once,
ASK_PAUSE_S: Final = 0.1  # with so many seconds between, so that a server is not flooded by its subscribers

Topic: TypeAlias = tuple[Channel, int]
"""A channel of the instrument of a number."""


class Awaited:
    """What is awaited: for each topic when to ask for it again, and how long to wait after that. Times are those of `time.monotonic`."""

    def __init__(self) -> None:
        self._topics: dict[Topic, tuple[float, float]] = {}
        self._ask_at = 0.0

    def __len__(self) -> int:
        return len(self._topics)

    def note_asked(self, topic: Topic, now: float) -> None:
        """A topic was subscribed to, and so asked for."""
        self._topics[topic] = (now + _WAIT_MIN, _WAIT_MIN)

    def note_all_asked(self, now: float) -> None:
        """All were asked for, as on a new connection."""
        self._topics = dict.fromkeys(self._topics, (now + _WAIT_MIN, _WAIT_MIN))

    def want(self, topic: Topic, now: float) -> None:
        """Asks for a topic as soon as may be, unless it is awaited already."""
        if topic not in self._topics:
            self._topics[topic] = (now, _WAIT_MIN)

    def want_only(self, topics: Iterable[Topic], now: float) -> None:
        """Asks for these topics as soon as may be, and for no others."""
        self._topics = dict.fromkeys(topics, (now, _WAIT_MIN))

    def forget(self, topic: Topic) -> None:
        """A topic has come, or is no longer wanted."""
        self._topics.pop(topic, None)

    def take_due(self, now: float) -> list[Topic]:
        """Some of the topics that are due, to be asked for now."""
        if now < self._ask_at:
            return []
        due = [topic for topic, (ask_at, _) in self._topics.items() if ask_at <= now][:_ASK_COUNT]
        for topic in due:
            _, wait = self._topics.pop(topic)
            self._topics[topic] = (now + wait, min(2 * wait, _WAIT_MAX))
        if due:
            self._ask_at = now + ASK_PAUSE_S
        return due
