"""The low-water mark: the venue notices a disk that fills before it is full, with room left for cancels and for the venue itself."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path

from ome._native import lib

__all__ = ["Storage", "StorageWatch"]

_log = logging.getLogger(__name__)


class Storage(IntEnum):
    """How much room there is: ome_storage_t."""

    ROOM = lib.OME_STORAGE_ROOM
    LOW = lib.OME_STORAGE_LOW
    """New orders are refused; cancels and the rest are taken."""
    SCARCE = lib.OME_STORAGE_SCARCE
    """All commands of clients are refused: a client could fill the disk with cancels of nothing, and stop the venue."""


_MEANINGS = {
    Storage.ROOM: "Orders are taken again",
    Storage.LOW: "New orders are refused (STORAGE_LOW), cancels are taken",
    Storage.SCARCE: "All commands are refused (STORAGE_LOW)",
}


class StorageWatch:
    """Looks how much room the file system of `directory` has, and calls `tell` each time with the free bytes and what that means.

    LOW begins below `low_water_bytes`, SCARCE below half as many. Each ends above 1.25 times the bytes below which it begins, so that
    it does not come and go with every file. Each change is a warning in the log. A directory that cannot be looked at has no room:
    what is in it cannot be written either. `look` is called each PERIOD_S.
    """

    PERIOD_S = 0.2

    def __init__(self, directory: Path, low_water_bytes: int, tell: Callable[[int, Storage], None]) -> None:
        self.storage = Storage.ROOM
        self._directory = directory
        self._low_water_bytes = low_water_bytes
        self._tell = tell

    def look(self) -> None:
        """Looks once."""
        free_bytes = self._free_bytes()
        former = self.storage
        self.storage = self._judge(free_bytes)
        self._tell(free_bytes, self.storage)
        if self.storage is not former:
            _log.warning(
                "storage is %s: %s bytes are free for %s, the mark is %s (journal.low_water_bytes). %s.%s",
                {Storage.ROOM: "no longer low", Storage.LOW: "low", Storage.SCARCE: "scarce"}[self.storage],
                f"{free_bytes:,}",
                self._directory,
                f"{self._low_water_bytes:,}",
                _MEANINGS[self.storage],
                "" if self.storage is Storage.ROOM else " Make room on this file system; the venue need not be stopped",
            )

    def _judge(self, free_bytes: int) -> Storage:
        for storage, mark in ((Storage.SCARCE, self._low_water_bytes / 2), (Storage.LOW, self._low_water_bytes)):
            if free_bytes < mark or (self.storage >= storage and 4 * free_bytes <= 5 * mark):
                return storage
        return Storage.ROOM

    def _free_bytes(self) -> int:
        try:
            status = os.statvfs(self._directory)
        except OSError:
            return 0
        return status.f_bavail * status.f_frsize
