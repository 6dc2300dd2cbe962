"""The counters of a running venue, read from the file that its threads write. This needs no socket and works at any
load.

The file's layout is that of csrc/base/ome_counters.h.
"""

from __future__ import annotations

import json
import mmap
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ome.errors import NotCopyable, OmeError
from ome.lock import is_held
from ome.supervision import THREADS_FILE, ThreadStatus

__all__ = ["COUNTERS_FILE", "Counters", "CountersError", "Percentiles", "thread_statuses"]

COUNTERS_FILE = "counters.dat"
_MAGIC = 0x544E554F43454D4F
_VERSION = 1
_STEP_BITS = 4
_BUCKET_COUNT = 528
_HEADER = np.dtype(
    [
        ("magic", "<u8"),
        ("version", "<u4"),
        ("counter_count", "<u4"),
        ("histogram_count", "<u4"),
        ("reserved_0", "<u4"),
        ("start_time_ns", "<u8"),
        ("pid", "<u8"),
        ("epoch", "<u8"),
        ("size_bytes", "<u8"),
        ("reserved_1", "<u8"),
    ]
)
_COUNTER = np.dtype([("value", "<u8"), ("label", "S48"), ("kind", "<u4"), ("unit", "<u4")])
_HISTOGRAM = np.dtype([("label", "S48"), ("max_ns", "<u8"), ("sum_ns", "<u8"), ("buckets", "<u8", (_BUCKET_COUNT,))])


class CountersError(OmeError):
    """A counters file is not there, or not one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentiles:
    """Of a latency, in nanoseconds; each at most 6.25 % above the true one. `count` values."""

    count: int
    p50_ns: int
    p99_ns: int
    p999_ns: int
    max_ns: int


class Counters(NotCopyable):
    """The counters of a venue's directory; `values` and `latency` look again each time. `close` it, or use it as a context manager."""

    _use_instead = "another one of the same directory, or what `values` gives"

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.path = Path(directory) / COUNTERS_FILE
        try:
            with self.path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise CountersError(
                "counters", where=str(self.path), found=str(error), allowed="the file of a server that runs, or ran, here"
            ) from None
        header = self._header()
        self.pid = int(header["pid"])
        self.epoch = int(header["epoch"])
        self.start_time_ns = int(header["start_time_ns"])
        self._counter_count = int(header["counter_count"])
        self._histogram_count = int(header["histogram_count"])

    def _header(self) -> np.void:
        if len(self._map) < _HEADER.itemsize:
            raise CountersError("counters", where=str(self.path), found=f"{len(self._map)} bytes", allowed=f"{_HEADER.itemsize} or more")
        header: np.void = np.frombuffer(self._map[: _HEADER.itemsize], dtype=_HEADER)[0]
        if header["magic"] != _MAGIC or header["version"] != _VERSION or header["size_bytes"] != len(self._map):
            found = f"magic {int(header['magic']):#x}, version {int(header['version'])}, {len(self._map)} bytes"
            allowed = f"magic {_MAGIC:#x}, version {_VERSION}, {int(header['size_bytes'])} bytes"
            raise CountersError("counters", where=str(self.path), found=found, allowed=allowed)
        return header

    def __enter__(self) -> Counters:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the file."""
        self._map.close()

    def is_running(self) -> bool:
        """Whether the server that writes the file runs: its process lives, and holds the directory.

        The number of a process that ended may be another's by now; the lock of its directory is not.
        """
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return is_held(self.path.parent)

    def values(self) -> dict[str, int]:
        """Every counter by its label, as it is now."""
        start = _HEADER.itemsize
        size = self._counter_count * _COUNTER.itemsize
        cells = np.frombuffer(self._map[start : start + size], dtype=_COUNTER)
        return {label.decode(): value for label, value in zip(cells["label"].tolist(), cells["value"].tolist(), strict=True)}

    def latency(self, label: str) -> Percentiles:
        """Percentiles of a histogram since the start. Raises KeyError for a label that is not there."""
        return percentiles(self.buckets(label), int(self._histogram(label)["max_ns"]))

    def buckets(self, label: str) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
        """The histogram's buckets, to subtract those of an earlier moment."""
        buckets: np.ndarray[tuple[int], np.dtype[np.uint64]] = self._histogram(label)["buckets"]
        return buckets

    def _histogram(self, label: str) -> np.void:
        start = _HEADER.itemsize + self._counter_count * _COUNTER.itemsize
        rows = np.frombuffer(self._map[start : start + self._histogram_count * _HISTOGRAM.itemsize], dtype=_HISTOGRAM)
        row: np.void
        for row in rows:
            if row["label"].decode() == label:
                return row
        raise KeyError(label)


def thread_statuses(directory: str | os.PathLike[str]) -> tuple[ThreadStatus, ...]:
    """The state of the background threads of a directory's server, as last written; none if nothing readable was written."""
    try:
        rows = json.loads((Path(directory) / THREADS_FILE).read_text(encoding="utf-8"))
        return tuple(ThreadStatus(**row) for row in rows)
    except (OSError, ValueError, TypeError):
        return ()


def percentiles(buckets: np.ndarray[tuple[int], np.dtype[np.uint64]], max_ns: int) -> Percentiles:
    """Percentiles from the buckets of a histogram; each is the upper end of its bucket, at most `max_ns`."""
    sums = np.cumsum(buckets.astype(np.int64))
    count = int(sums[-1])

    def at(share: float) -> int:
        if count == 0:
            return 0
        index = int(np.searchsorted(sums, max(1, -(-count * share // 1))))
        return max_ns if index == _BUCKET_COUNT - 1 else min(_bucket_end_ns(index), max_ns)  # the last bucket has no end

    return Percentiles(count=count, p50_ns=at(0.5), p99_ns=at(0.99), p999_ns=at(0.999), max_ns=max_ns)


def _bucket_end_ns(index: int) -> int:
    """The largest value that bucket `index` counts."""
    steps = 1 << _STEP_BITS
    if index < steps:
        return index
    shift = index // steps - 1
    return ((index - shift * steps + 1) << shift) - 1
