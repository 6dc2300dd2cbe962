"""A venue's clock at the start: it is followed once before clients send orders; then days end that ended while no server ran."""

from __future__ import annotations

from collections.abc import Callable

from ome.clock import CLOCK_REQUEST_FILE, Clock, Schedule
from ome.config import ServerConfig
from ome.server.errors import ServerError
from ome.server.venue import Venue

__all__ = ["open_clock"]

_DAY_NS = 86_400 * 1_000_000_000
_GAP_NS = 30 * _DAY_NS  # between two runs: more may be a clock that is wrong


def open_clock(
    venue: Venue,
    config: ServerConfig,
    read: Callable[[], tuple[int, int]],
    *,
    last_time_ns: int,
    accepts_clock: bool,
    on_accepted: Callable[[int], object],
) -> Clock:
    """The clock of a venue whose last command is of that time, 0 for none. `on_accepted` is called when an operator has accepted a clock.

    Raises ServerError where orders would expire by a clock that may be wrong.
    """
    view = venue.follow_clock(*read())
    gap_ns = view.time_ns - last_time_ns
    if gap_ns > _GAP_NS and 0 < venue.deadline_ns() <= view.time_ns and not accepts_clock:
        raise ServerError(
            "clock",
            where=config.source,
            found=f"{gap_ns // _DAY_NS:,} days after the journal's last command, so that orders with a deadline would expire",
            allowed=f"at most {_GAP_NS // _DAY_NS} days; set the machine's clock right, or if it is, start with --accept-clock",
        )
    if config.directory is not None:
        (config.directory / CLOCK_REQUEST_FILE).unlink(missing_ok=True)
    schedule = Schedule(venue.submit_one, venue.deadline_ns, day_end=config.day_end, now_ns=view.time_ns)
    schedule.catch_up(last_time_ns)
    return Clock(schedule, venue.follow_clock, venue.accept_clock, directory=config.directory, read=read, on_accepted=on_accepted)
