"""File descriptors: connections and the venue's own files share one limit of the process, and the venue's files come first.

None of them is a standard stream: where one of these is closed, /dev/null takes its place.
"""

from __future__ import annotations

import os
import resource
import sys

__all__ = ["connections_that_fit", "open_standard_streams"]

_RESERVE = 64
"""For segments, snapshots, event log, manifest, and what the process opens for a moment."""
_RESERVE_MIN = 16
"""The least that a venue runs with."""


def connections_that_fit(wanted: int, listeners: int) -> int:
    """How many connections each of so many listeners may have, at most `wanted`; 0 where there is no room for any.

    Raises the soft limit of descriptors as far as that needs and the hard limit allows.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/proc/self/fd"))
    needed = used + _RESERVE + listeners * wanted
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return wanted
    left = soft - used
    reserve = max(_RESERVE_MIN, min(_RESERVE, left // 2))
    return max(0, min(wanted, (left - reserve) // listeners))


def open_standard_streams() -> None:
    """Opens /dev/null as each standard stream that is closed. A file would get its number, and what is printed would go into that file."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free: this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
