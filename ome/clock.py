"""A running venue's time: it follows the machine's clock while that is plausible, and decides when orders expire and
days end.

A timestamp cannot be taken back, so the venue does not follow a machine's clock that jumps: its time goes on by itself
(csrc/base/ome_venue_clock.h) until the clock is right again, or an operator accepts it (`ome-admin clock --accept`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time as dtime, timedelta
from pathlib import Path
from typing import Final

from ome.codec import expire_orders
from ome.lock import ask
from ome.messages import Command
from ome.metrics import Counters, CountersError

__all__ = [
    "CLOCK_REQUEST_FILE",
    "Clock",
    "ClockState",
    "ClockView",
    "Schedule",
    "accept_clock",
    "apart",
    "clock_state",
    "read_clocks",
]

CLOCK_REQUEST_FILE: Final = "clock.request"
"""Whoever makes this file in a server's directory, with the time in it that the machine's clock shows, has the server accept that clock."""

_REQUEST_AGE_MAX_NS: Final = 60_000_000_000
_READINGS: Final = 3
_NS_PER_S: Final = 1_000_000_000

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockView:
    """The venue's time, since 1970, and the machine's clock: how much it is ahead (below 0: behind), and whether it is not followed."""

    time_ns: int
    difference_ns: int
    jumps: int
    is_held: bool


def read_clocks() -> tuple[int, int]:
    """The steady clock and the machine's clock at one moment, in nanoseconds: of some readings the one that took the least time."""
    best = (0, 0)
    shortest_ns = -1
    for _ in range(_READINGS):
        before_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        wall_ns = time.time_ns()
        took_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - before_ns
        if shortest_ns < 0 or took_ns < shortest_ns:
            shortest_ns = took_ns
            best = (before_ns + took_ns // 2, max(0, wall_ns))
    return best


def apart(difference_ns: int, other: str) -> str:
    """How far a clock is from another one, in words.

    >>> apart(-1_500_000_000, "the venue's time")
    "1.500 s behind the venue's time"
    """
    return f"{abs(difference_ns) / _NS_PER_S:,.3f} s {'behind' if difference_ns < 0 else 'ahead of'} {other}"


class Schedule:
    """Sends ExpireOrders in a quiet market, once the earliest deadline has passed, and at the end of each day.

    Orders with a deadline also expire at the first command after it, so this is late by at most the period of its thread, and never wrong.
    `submit` sends a command and says whether the venue still runs; `deadline_ns` is the earliest deadline, 0 for none; `day_end` a time of
    day in UTC, or None.
    """

    def __init__(self, submit: Callable[[Command], bool], deadline_ns: Callable[[], int], *, day_end: dtime | None, now_ns: int) -> None:
        self._submit = submit
        self._deadline_ns = deadline_ns
        self._day_end = day_end
        self._now_ns = now_ns
        self._next_day_end_ns = self._day_end_after(now_ns)
        self._expired_to_ns = 0

    def catch_up(self, last_time_ns: int) -> None:
        """Ends the day that was over while nobody ran: one since the engine's last time, 0 where it has none."""
        if last_time_ns and self._ends_between(last_time_ns, self._now_ns):
            self._submit(expire_orders(self._now_ns, end_of_day=True))

    def tick(self, now_ns: int) -> bool:
        """Looks once. False where the venue has stopped."""
        if self._next_day_end_ns is not None and now_ns >= self._next_day_end_ns:
            self._next_day_end_ns = self._day_end_after(now_ns)
            return self._submit(expire_orders(now_ns, end_of_day=True))
        deadline_ns = self._deadline_ns()
        if self._expired_to_ns < deadline_ns <= now_ns:
            self._expired_to_ns = deadline_ns  # it is on its way: once is enough
            return self._submit(expire_orders(now_ns))
        return True

    def set_time(self, before_ns: int, now_ns: int) -> bool:
        """The venue's time was set: tells the engine, ends a day that ended in between, and looks anew for what comes next."""
        end_of_day = self._ends_between(before_ns, now_ns)
        self._next_day_end_ns = self._day_end_after(now_ns)
        self._expired_to_ns = 0
        return self._submit(expire_orders(now_ns, end_of_day=end_of_day, sets_time=True))

    def _ends_between(self, first_ns: int, last_ns: int) -> bool:
        end_ns = self._day_end_after(first_ns)
        return end_ns is not None and end_ns <= last_ns

    def _day_end_after(self, moment_ns: int) -> int | None:
        if self._day_end is None:
            return None
        moment = datetime.fromtimestamp(moment_ns // _NS_PER_S, UTC)
        end = datetime.combine(moment.date(), self._day_end, UTC)
        while int(end.timestamp()) * _NS_PER_S <= moment_ns:
            end += timedelta(days=1)
        return int(end.timestamp()) * _NS_PER_S


class Clock:
    """Compares the venue's time with the machine's clock, raises the alarm, and takes what an operator decides.

    `look` is called each PERIOD_S.

    `follow` and `accept` are the venue's: they take both clocks of a moment, as `read` gives them. In `directory`, where there is one, the
    operator's request is looked for; `on_accepted` gets how much the venue's time was changed when one is done.
    """

    PERIOD_S = 0.05

    def __init__(
        self,
        schedule: Schedule,
        follow: Callable[[int, int], ClockView],
        accept: Callable[[int, int], ClockView],
        *,
        directory: Path | None,
        read: Callable[[], tuple[int, int]] = read_clocks,
        on_accepted: Callable[[int], object] = lambda difference_ns: None,
    ) -> None:
        self._on_accepted = on_accepted
        self._schedule = schedule
        self._follow = follow
        self._accept = accept
        self._read = read
        self._request = None if directory is None else directory / CLOCK_REQUEST_FILE
        self._was_held = False

    def look(self) -> bool:
        """Looks once. False where the venue has stopped."""
        steady_ns, wall_ns = self._read()
        view = self._follow(steady_ns, wall_ns)
        self._report(view)
        if self._request is not None and self._request.exists():
            runs = self._take(self._request, steady_ns, wall_ns, view)
            self._request.unlink(missing_ok=True)  # which says that it is done
            return runs
        return self._schedule.tick(view.time_ns)

    def _report(self, view: ClockView) -> None:
        if view.is_held and not self._was_held:
            _log.warning(
                "the machine's clock is %s: it is not followed. Orders are stamped with the venue's time, which goes "
                "on by itself. Set the clock right, or if it is right, accept it: ome-admin clock DIR --accept",
                apart(view.difference_ns, "the venue's time"),
            )
        elif self._was_held and not view.is_held:
            _log.warning("the machine's clock agrees with the venue's time again: it is followed")
        self._was_held = view.is_held

    def _take(self, request: Path, steady_ns: int, wall_ns: int, view: ClockView) -> bool:
        """The operator saw the time that is in the file: a clock that has jumped again since is not the one that was accepted."""
        try:
            seen_ns = int(request.read_text(encoding="utf-8"))
        except ValueError:
            seen_ns = -1
        if not view.is_held:
            _log.warning("the machine's clock was to be accepted: it agrees with the venue's time, so there is nothing to do")
            return True
        if abs(wall_ns - seen_ns) > _REQUEST_AGE_MAX_NS:
            _log.warning("the machine's clock was to be accepted, but shows another time than then: nothing was changed")
            return True
        accepted = self._accept(steady_ns, wall_ns)
        self._was_held = False
        self._on_accepted(view.difference_ns)
        _log.warning("the machine's clock was accepted: the venue's time was %s, and was set", apart(-view.difference_ns, "it"))
        return self._schedule.set_time(view.time_ns, accepted.time_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockState:
    """Of a venue, as its counters say: the machine's clock and the venue's time now, and how far they are apart."""

    wall_ns: int
    time_ns: int
    difference_ns: int
    is_held: bool
    jumps: int


def clock_state(directory: Path) -> ClockState:
    """The state of the clock of the server on `directory`. Raises CountersError where no server runs there."""
    with Counters(directory) as counters:
        if not counters.is_running():
            raise CountersError("clock", where=str(directory), found="no server that runs", allowed="a running server: start it first")
        values = counters.values()
    difference_ns = values["clock.ahead_ns"] - values["clock.behind_ns"]
    wall_ns = time.time_ns()
    return ClockState(
        wall_ns=wall_ns,
        time_ns=wall_ns - difference_ns,
        difference_ns=difference_ns,
        is_held=bool(values["clock.is_held"]),
        jumps=values["clock.jumps"],
    )


def accept_clock(directory: Path, timeout: float) -> ClockState:
    """Makes the server on `directory` accept the machine's clock as it is now, and returns the state after that.

    Raises CountersError where no server runs there, NoAnswerError after `timeout` seconds.
    """
    clock_state(directory)
    ask(directory / CLOCK_REQUEST_FILE, str(time.time_ns()), timeout)
    return clock_state(directory)
