"""The market data feed: the thread that serves it, in C."""

from __future__ import annotations

import os
import threading

from ome._native import CData, ffi, lib
from ome.errors import OmeError
from ome.supervision import Supervisor

__all__ = ["Publisher"]

_TURN_MS = 100


class Publisher:
    """Publishes a venue's events as tops, levels and trades on a listener, an ome_listener_t *.

    `snapshot_levels` bounds a snapshot, for each side; `epoch` tells this start from every other.
    """

    def __init__(self, venue: CData, listener: CData, *, snapshot_levels: int, epoch: int, supervisor: Supervisor) -> None:
        self._event_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        feed = ffi.new("ome_feed_t **")
        if lib.ome_feed_create(venue, listener, self._event_fd, snapshot_levels, epoch, feed) != lib.OME_OK:
            os.close(self._event_fd)
            raise MemoryError("no memory for the feed")
        self._pointer = feed[0]
        self._stop = threading.Event()
        self._thread = supervisor.thread("ome-publisher", self._serve, period_s=0.0, attempts=1)

    def start(self) -> None:
        """Serves from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, after it has published what can be published."""
        self._stop.set()
        os.eventfd_write(self._event_fd, 1)
        self._thread.stop()

    def close(self) -> None:
        """Frees everything but the listener; the venue no longer runs."""
        lib.ome_feed_destroy(self._pointer)
        os.close(self._event_fd)

    def _serve(self) -> bool:
        """Until the stop. False: that is the end."""
        while not self._stop.is_set():
            if lib.ome_feed_run(self._pointer, _TURN_MS) != lib.OME_OK:
                raise OmeError("listener", where="publisher", found="a call on it failed", allowed="a listener that works")
        lib.ome_feed_run(self._pointer, 0)
        return False
