"""The low-water mark: a disk that fills is noticed before it is full, while there is still room for cancels."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

__all__ = ["StorageWatch"]

_log = logging.getLogger(__name__)


class StorageWatch:
    """Looks how much room the file system of `directory` has, and calls `tell` each time: with the free bytes, and whether that is low.

    Low begins below `low_water_bytes` and ends above 1.25 times as many, so that it does not come and go with every file. Each change is a
    warning in the log. A directory that cannot be looked at has no room: what is in it cannot be written either. `look` is called each
    PERIOD_S.
    """

    PERIOD_S = 0.2

    def __init__(self, directory: Path, low_water_bytes: int, tell: Callable[[int, bool], None]) -> None:
        self.is_low = False
        self._directory = directory
        self._low_water_bytes = low_water_bytes
        self._tell = tell

    def look(self) -> None:
        """Looks once."""
        free_bytes = self._free_bytes()
        was_low = self.is_low
        self.is_low = 4 * free_bytes <= 5 * self._low_water_bytes if was_low else free_bytes < self._low_water_bytes
        self._tell(free_bytes, self.is_low)
        if self.is_low and not was_low:
            _log.warning(
                "storage is low: %s bytes are free for %s, the mark is %s (journal.low_water_bytes). New orders are refused (STORAGE_LOW), "
                "cancels are taken. Make room on this file system; the venue need not be stopped",
                f"{free_bytes:,}",
                self._directory,
                f"{self._low_water_bytes:,}",
            )
        elif was_low and not self.is_low:
            _log.warning(
                "storage is no longer low: %s bytes are free for %s, the mark is %s (journal.low_water_bytes). New orders are taken again",
                f"{free_bytes:,}",
                self._directory,
                f"{self._low_water_bytes:,}",
            )

    def _free_bytes(self) -> int:
        try:
            status = os.statvfs(self._directory)
        except OSError:
            return 0
        return status.f_bavail * status.f_frsize
