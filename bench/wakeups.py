"""Wake-ups: how often the threads of processes went to sleep and were woken, and how long this machine takes to wake one."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from bench.driver import DriverError
from bench.wire_library import library

__all__ = ["wakeup_count", "wakeup_us"]

_COUNT = 2_000
_SLEPT = re.compile(r"^voluntary_ctxt_switches:\s*(\d+)$", re.MULTILINE)


def wakeup_count(pids: Iterable[int]) -> int:
    """How often threads of these processes have given up their core by themselves, to sleep until something wakes them."""
    count = 0
    for pid in pids:
        for status in Path(f"/proc/{pid}/task").glob("*/status"):
            with contextlib.suppress(OSError):  # a thread that has ended meanwhile
                count += sum(int(number) for number in _SLEPT.findall(status.read_text(encoding="utf-8")))
    return count


def wakeup_us() -> float:
    """The median time from waking a thread that sleeps until it runs: half a round trip between two threads on two cores, over eventfds."""
    times = np.zeros(_COUNT, dtype=np.uint64)
    if library().bench_wakeup(_COUNT, times.ctypes.data) != 0:
        raise DriverError("wake-up", where="two threads", found="an error", allowed="two eventfds and a thread")
    return float(np.median(times)) / 1_000
