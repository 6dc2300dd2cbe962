"""Whether many sessions at once are served alike: the slowest of 200 beside the mean of all."""

from __future__ import annotations

import contextlib
import ctypes
import statistics

import numpy as np

from bench.figure import Figure, Sample, compare
from bench.options import Options
from bench.wire_ends import load_of, resting_orders, session, venue
from bench.wire_library import SessionsResult, check, compiler, library
from ome.transport import Context

__all__ = ["sessions_of_200"]

_SESSIONS = 200
_MESSAGES_PER_FRAME = 16
_FRAMES_MIN = 20  # of each session: with fewer, one frame more or less looks like a preference


def sessions_of_200(options: Options) -> Figure:
    """Each sends its next frame when it has all reports of the last, until a number of frames is sent that all share."""
    frame_count = max(options.count // _MESSAGES_PER_FRAME, _SESSIONS * _FRAMES_MIN)
    traffic = resting_orders(frame_count * _MESSAGES_PER_FRAME)
    load = load_of(traffic, _MESSAGES_PER_FRAME)
    slowest: list[Sample] = []
    mean: list[Sample] = []
    fastest: list[float] = []
    per_look: list[float] = []
    for _ in range(options.repeat):
        counts, result = np.zeros(_SESSIONS, dtype=np.uint64), SessionsResult()
        with venue("thread") as found, Context() as context, contextlib.ExitStack() as stack:
            addresses = [stack.enter_context(session(found.orders, f"BENCH{number}", context=context)) for number in range(_SESSIONS)]
            sockets = (ctypes.c_void_p * _SESSIONS)(*addresses)
            outcome = library().bench_sessions_load(
                sockets, _SESSIONS, ctypes.byref(load), frame_count, counts.ctypes.data, ctypes.byref(result)
            )
        check(outcome, "sessions-200")
        slowest.append(Sample(operations=int(counts.min()) * _MESSAGES_PER_FRAME, elapsed_ns=result.elapsed_ns))
        mean.append(Sample(operations=int(counts.sum()) * _MESSAGES_PER_FRAME, elapsed_ns=result.elapsed_ns * _SESSIONS))
        fastest.append(float(counts.max() / counts.mean()))
        per_look.append(frame_count / result.look_count)
    return compare(
        "sessions-200",
        slowest,
        mean,
        yardstick="mean of all",
        clock="wall time",
        config={
            "flow": "an order that rests and its cancel, in turn, the same in each session",
            "sessions": _SESSIONS,
            "commands": len(traffic.messages),
            "messages_per_frame": _MESSAGES_PER_FRAME,
            "policy": "async",
            "gateway": "thread",
            "total_per_second": statistics.median(sample.operations_per_second for sample in mean) * _SESSIONS,
            "fastest": statistics.median(fastest),
            "sessions_per_look": statistics.median(per_look),
            "compiler": compiler(),
        },
    )
