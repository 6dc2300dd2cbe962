"""What the tests look at in a process from outside: resident size, descriptors, threads, processor time. Linux, /proc."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Final

PAGE_SIZE: Final = os.sysconf("SC_PAGE_SIZE")
TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
MB: Final = 1_000_000


class Gone(AssertionError):  # noqa: N818
    """The process has ended."""


def resident_bytes(pid: int) -> int:
    """Resident size. Raises Gone."""
    size = int(_read(pid, "statm").split()[1]) * PAGE_SIZE
    if size == 0:
        raise Gone(f"process {pid} is a zombie")
    return size


def descriptor_count(pid: int) -> int:
    """Open descriptors. Raises Gone."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError as error:
        raise Gone(str(error)) from None


def thread_count(pid: int) -> int:
    """Threads. Raises Gone."""
    return int(_read(pid, "stat").rsplit(")", 1)[1].split()[17])


def processor_seconds(pid: int) -> float:
    """User and system time so far. Raises Gone."""
    fields = _read(pid, "stat").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except OSError as error:
        raise Gone(str(error)) from None


class PeakSampler:
    """Looks at the resident size of a process every 20 ms, in a thread, while in its `with` block. `peak_bytes` is the largest so far."""

    PERIOD_S: Final = 0.02

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.before_bytes = self.peak_bytes = resident_bytes(pid)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="peak-sampler", daemon=True)

    @property
    def grown_mb(self) -> float:
        """How much the peak is above the size at the beginning, in millions of bytes."""
        return (self.peak_bytes - self.before_bytes) / MB

    def __enter__(self) -> PeakSampler:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self.PERIOD_S):
            try:
                self.peak_bytes = max(self.peak_bytes, resident_bytes(self._pid))
            except Gone:
                return


def burn(share: float, seconds: float) -> None:
    """Uses `share` of a core (0 to 1), in slices of 5 ms, for so many seconds: a neighbour that harms nobody but takes its time."""
    end = time.monotonic() + seconds
    slice_s = 0.005
    while (now := time.monotonic()) < end:
        busy_until = now + slice_s * min(1.0, share)
        while time.monotonic() < busy_until:
            pass
        time.sleep(max(0.0, now + slice_s - time.monotonic()))
