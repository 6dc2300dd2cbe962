"""The reports of a session that came and were not read yet, as rows and as objects, and whether any is missing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ome.client.errors import ReportGap
from ome.client.failures import Failures
from ome.client.reports import Inbox, Reports, UnreadReports

__all__ = ["ReceivedReports"]


class ReceivedReports:
    """Reports that wait to be read, at most `kept` of them: the oldest go first, and `dropped` counts them.

    Those that came are in an inbox until `take` gives them, counted and checked for gaps; `objects` has those that were taken for who reads
    them one by one. `sequence` is the last report's that left the inbox.
    """

    def __init__(self, where: str, sequence: int, kept: int, failures: Failures) -> None:
        self._where = where
        self._kept = kept
        self._failures = failures
        self._inbox = Inbox(where)
        self.objects = UnreadReports()
        self.sequence = sequence
        self.dropped = 0

    def __len__(self) -> int:
        """How many `take` gives, or loses."""
        return len(self._inbox)

    def add(self, frame: bytes) -> Reports:
        """Keeps a frame, drops the oldest reports where there are too many now, and gives the frame's."""
        reports = self._inbox.add(frame)
        while len(self.objects) and len(self.objects) + len(self._inbox) > self._kept:
            self.objects.take()
            self.dropped += 1
        if len(self._inbox) > self._kept:
            self._drop(len(self._inbox) - self._kept)
        return reports

    def take(self) -> Reports:
        """The reports in the inbox. Raises ReportGap where some are missing before the first; the next call gives it, and what follows."""
        reports = self._inbox.take()
        sequences = reports["report_sequence"]
        expected, wrong = self._unexpected(sequences)
        if len(wrong):
            first = int(wrong[0])
            self._inbox.put_back(reports[first:])  # for the next call
            if first == 0:
                self.sequence = int(sequences[0]) - 1
                raise ReportGap(where=self._where, expected=int(expected[0]), found=int(sequences[0]))
            reports, sequences = reports[:first], sequences[:first]
        self.sequence = int(sequences[-1])
        return reports

    def _drop(self, count: int) -> None:
        sequences = self._inbox.drop(count)["report_sequence"]
        self.dropped += len(sequences)
        expected, wrong = self._unexpected(sequences)
        self.sequence = int(sequences[-1])
        if len(wrong):
            self._failures.add(ReportGap(where=self._where, expected=int(expected[wrong[0]]), found=int(sequences[wrong[0]])))

    def _unexpected(self, sequences: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.intp]]:
        """The sequences that reports should have, and where those that they have are others."""
        expected = np.arange(self.sequence + 1, self.sequence + 1 + len(sequences), dtype=np.uint64)
        return expected, np.flatnonzero(sequences != expected)
