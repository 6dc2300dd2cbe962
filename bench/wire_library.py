"""The loops of the wire's figures in C (native/bench_wire.h): their types, and what is wrong when they end early."""

from __future__ import annotations

import ctypes
import functools

from bench import driver
from bench.driver import DriverError

__all__ = ["Load", "Result", "check", "library"]

_OUTCOMES = {
    1: "nothing came for 10 seconds",
    2: "a frame that is no whole number of reports, or more reports than there are",
    3: "the peer is gone",
}


class Load(ctypes.Structure):
    """bench_wire_load_t."""

    _fields_ = (
        ("messages", ctypes.c_void_p),
        ("message_count", ctypes.c_uint64),
        ("answers_after", ctypes.c_void_p),
        ("window_message_count", ctypes.c_uint64),
        ("messages_per_frame", ctypes.c_uint32),
        ("answer_size_bytes", ctypes.c_uint32),
    )


class Result(ctypes.Structure):
    """bench_wire_result_t."""

    _fields_ = (("elapsed_ns", ctypes.c_uint64), ("answer_frame_count", ctypes.c_uint64), ("refused_count", ctypes.c_uint64))


@functools.cache
def library() -> ctypes.CDLL:
    """The library; `driver.build` has built it."""
    loaded = ctypes.CDLL(str(driver.WIRE_LIBRARY))
    loaded.bench_wire_load.argtypes = (ctypes.c_void_p, ctypes.POINTER(Load), ctypes.POINTER(Result))
    loaded.bench_wire_round_trips.argtypes = (ctypes.c_void_p, ctypes.POINTER(Load), ctypes.c_void_p)
    loaded.bench_wire_answer.argtypes = (ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_uint32)
    loaded.bench_wire_compiler.restype = ctypes.c_char_p
    return loaded


def check(outcome: int, where: str) -> None:
    """Raises DriverError where a loop ended early."""
    if outcome != 0:
        raise DriverError("client's loop", where=where, found=_OUTCOMES[outcome], allowed="every report of every command")
