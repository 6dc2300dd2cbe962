"""The reports of a session that came: each once and in order, and those that were not read yet, as rows and as objects."""

from __future__ import annotations

import numpy as np

from ome.client.reports import Inbox, Reports, UnreadReports

__all__ = ["ReceivedReports"]


class ReceivedReports:
    """Reports that wait to be read, at most `kept` of them: the oldest go first, and `dropped` counts them.

    Those that came are in an inbox until `take` gives them; `objects` has those that were taken for who reads them one by one. `newest` is
    the last report's number that came, `sequence` the last's that left the inbox.
    """

    def __init__(self, where: str, kept: int) -> None:
        self._kept = kept
        self._inbox = Inbox(where)
        self.objects = UnreadReports()
        self.newest = 0
        self.sequence = 0
        self.dropped = 0

    def __len__(self) -> int:
        """How many `take` gives."""
        return len(self._inbox)

    def begin(self, newest: int) -> None:
        """The reports up to this one are not wanted, or are gone: the next is the one after it."""
        if not len(self._inbox):
            self.sequence = newest
        self.newest = newest

    def add(self, frame: bytes) -> tuple[Reports, bool]:
        """Keeps of a frame what has not come yet and follows the newest; gives it, and whether reports are missing before the rest.

        Drops the oldest reports where there are too many now. Raises InvalidValueError for a frame with something else in it.
        """
        reports = self._inbox.read(frame)
        sequences = reports["report_sequence"]
        start = int(np.count_nonzero(sequences <= np.uint64(self.newest)))
        fresh = sequences[start:]
        is_next = fresh == np.arange(self.newest + 1, self.newest + 1 + len(fresh), dtype=np.uint64)
        end = len(reports) if is_next.all() else start + int(is_next.argmin())
        if end > start:
            taken = reports[start:end]
            self._inbox.put(frame if len(taken) == len(reports) else taken.tobytes(), len(taken))
            self.newest = int(sequences[end - 1])
            self._drop_oldest()
        return reports[start:end], end < len(reports)

    def take(self) -> Reports:
        """The reports in the inbox."""
        reports = self._inbox.take()
        self.sequence = int(reports["report_sequence"][-1])
        return reports

    def _drop_oldest(self) -> None:
        while len(self.objects) and len(self.objects) + len(self._inbox) > self._kept:
            self.objects.take()
            self.dropped += 1
        if len(self._inbox) > self._kept:
            gone = self._inbox.drop(len(self._inbox) - self._kept)
            self.sequence = int(gone["report_sequence"][-1])
            self.dropped += len(gone)
