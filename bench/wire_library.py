"""The loops of the wire's figures in C (native/bench_wire.h): their types, and what is wrong when they end early."""

from __future__ import annotations

import contextlib
import ctypes
import functools
from collections.abc import Iterator

from bench import driver
from bench.driver import DriverError
from ome.transport import library_path, library_version

__all__ = ["Load", "Result", "SessionsResult", "check", "compiler", "library", "zmq_socket"]

_OUTCOMES = {
    1: "nothing came for 10 seconds",
    2: "a frame that is no whole number of reports, or more reports than there are",
    3: "the peer is gone",
    4: "no memory",
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


class SessionsResult(ctypes.Structure):
    """bench_sessions_result_t."""

    _fields_ = (("elapsed_ns", ctypes.c_uint64), ("look_count", ctypes.c_uint64))


@functools.cache
def library() -> ctypes.CDLL:
    """The library; `driver.build` has built it."""
    loaded = ctypes.CDLL(str(driver.WIRE_LIBRARY))
    loaded.bench_wire_load.argtypes = (ctypes.c_void_p, ctypes.POINTER(Load), ctypes.POINTER(Result))
    loaded.bench_wire_round_trips.argtypes = (ctypes.c_void_p, ctypes.POINTER(Load), ctypes.c_void_p)
    loaded.bench_wire_answer.argtypes = (ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_uint32)
    loaded.bench_sessions_load.argtypes = (
        ctypes.POINTER(ctypes.c_void_p),
        ctypes.c_uint32,
        ctypes.POINTER(Load),
        ctypes.c_uint64,
        ctypes.c_void_p,
        ctypes.POINTER(SessionsResult),
    )
    loaded.bench_wakeup.argtypes = (ctypes.c_uint64, ctypes.c_void_p)
    loaded.bench_zmq_open.argtypes = (ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
    loaded.bench_zmq_open.restype = ctypes.c_void_p
    loaded.bench_zmq_close.argtypes = (ctypes.c_void_p,)
    loaded.bench_wire_compiler.restype = ctypes.c_char_p
    return loaded


def compiler() -> str:
    """What compiled the loops."""
    name: bytes = library().bench_wire_compiler()
    return name.decode()


def check(outcome: int, where: str) -> None:
    """Raises DriverError where a loop ended early."""
    if outcome != 0:
        raise DriverError("client's loop", where=where, found=_OUTCOMES[outcome], allowed="every report of every command")


@contextlib.contextmanager
def zmq_socket(handle: int, *, has_peers: bool) -> Iterator[int]:
    """libzmq's functions on an open ZeroMQ socket; the address for the loops in C."""
    major, minor, patch = library_version()
    version = major * 10_000 + minor * 100 + patch
    address = library().bench_zmq_open(library_path().encode(), version, handle, int(has_peers))
    if not address:
        raise DriverError("libzmq's functions", where=library_path(), found="none", allowed="the library that pyzmq has loaded")
    try:
        yield address
    finally:
        library().bench_zmq_close(address)
