"""Figures of the wire: a client in this process, a venue in another, beside the least that a ROUTER can do for the same client.

The client is a loop in C on a socket that pyzmq made, the same for both; the bare ROUTER too. Which reports a venue has to send is known
beforehand, from the same commands through an Engine: the client counts them, and one too few or too many ends the run.
"""

from __future__ import annotations

import contextlib
import ctypes
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench import driver
from bench.driver import DriverError
from bench.figure import Figure, Sample, compare, machine
from bench.options import Options
from bench.wire_library import Load, Result, check, library, zmq_socket
from ome.cli.main import DEFAULT_INSTRUMENTS
from ome.codec import COMMAND, Records, logon_message
from ome.codec.layouts import COMMAND_MESSAGE, EXECUTION_REPORT_MESSAGE
from ome.codec.wire import decode_message, numbered_messages
from ome.engine import Engine
from ome.enums import CommandKind, EventKind, OrderType, Reason, Side, TimeInForce
from ome.orderflow import order_flow
from ome.transport import Context

__all__ = ["frames_of_1", "frames_of_16", "frames_of_64", "frames_of_64_logged", "round_trip"]

_WINDOW = 4_096  # commands without their reports
_REPORT_SIZE = EXECUTION_REPORT_MESSAGE.itemsize
_ANSWERS_PER_FRAME_MAX = 1_024
_MEMORY = Path("/dev/shm")
_MEMORY_FREE_MIN_BYTES = 1 << 30
_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Traffic:
    """Messages of a session, ready to be sent, and how many reports the first n of them cause (`reports_after[n]`)."""

    messages: npt.NDArray[np.void]
    reports_after: npt.NDArray[np.uint64]

    @property
    def report_count(self) -> int:
        return int(self.reports_after[-1])

    def spread(self) -> _Traffic:
        """As many reports, spread evenly: what the bare ROUTER sends."""
        count = len(self.messages)
        even = np.arange(count + 1, dtype=np.uint64) * np.uint64(self.report_count) // np.uint64(count)
        return _Traffic(messages=self.messages, reports_after=even)


def _traffic(flow: Records) -> _Traffic:
    """Each event of the flow's commands is a report, a trade two: one for each side, and all are of this session."""
    with Engine(DEFAULT_INSTRUMENTS) as engine:
        before = engine.sequence
        events = engine.apply_records(flow)
    reports = np.bincount(
        (events["sequence"] - before - 1).astype(np.int64), weights=1 + (events["kind"] == EventKind.TRADE), minlength=len(flow)
    )
    after = np.concatenate(([0], np.cumsum(reports))).astype(np.uint64)
    return _Traffic(messages=numbered_messages(flow, 1), reports_after=after)


@contextlib.contextmanager
def _peer(kind: str, *arguments: object) -> Iterator[str]:
    """Another process; its endpoint. Raises DriverError where it does not start."""
    command = [sys.executable, "-m", "bench.peer", kind, *map(str, arguments)]
    with subprocess.Popen(command, cwd=driver.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None, "it is a pipe"
        try:
            endpoint = process.stdout.readline().strip()
            if not endpoint:
                raise DriverError("endpoint", where=" ".join(command[1:]), found="nothing", allowed="one")
            yield endpoint
        finally:
            with contextlib.suppress(BrokenPipeError):
                process.communicate(timeout=_TIMEOUT_S)


@contextlib.contextmanager
def _venue(*, event_log: bool = False) -> Iterator[str]:
    """A server whose journal is in memory where there is room, so that no disk is measured; with an event log or without."""
    in_memory = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _MEMORY_FREE_MIN_BYTES
    place = _MEMORY if in_memory else driver.BUILD
    with tempfile.TemporaryDirectory(dir=place) as directory, _peer("venue", directory, event_log) as endpoint:
        yield endpoint


@contextlib.contextmanager
def _session(endpoint: str) -> Iterator[int]:
    """A connection that has said its logon and got an answer; the address of its socket for C."""
    with Context() as context:
        client = context.connect_client(endpoint)
        client.send(logon_message("BENCH"))
        deadline = time.monotonic() + _TIMEOUT_S
        while (answer := client.receive()) is None:
            if time.monotonic() > deadline:
                raise DriverError("answer to the logon", where=endpoint, found="none", allowed=f"one within {_TIMEOUT_S} s")
            client.wait(0.1)
        name, fields = decode_message(answer)
        if name == "LogonAnswer" and fields["reason"] != Reason.NONE:
            raise DriverError("logon", where=endpoint, found=Reason(fields["reason"]).name, allowed=Reason.NONE.name)
        with zmq_socket(client.handle, has_peers=False) as address:
            yield address


def _load(traffic: _Traffic, messages_per_frame: int) -> Load:
    """For C; `traffic` must outlive it."""
    return Load(
        messages=traffic.messages.ctypes.data,
        message_count=len(traffic.messages),
        answers_after=traffic.reports_after.ctypes.data,
        window_message_count=_WINDOW,
        messages_per_frame=messages_per_frame,
        answer_size_bytes=_REPORT_SIZE,
    )


# ---- throughput ----


def _send_all(endpoint: str, traffic: _Traffic, messages_per_frame: int, what: str) -> tuple[Sample, Result]:
    """The time of all messages with all their reports, and what C counted."""
    load, result = _load(traffic, messages_per_frame), Result()
    with _session(endpoint) as table:
        check(library().bench_wire_load(table, ctypes.byref(load), ctypes.byref(result)), what)
    return Sample(operations=len(traffic.messages), elapsed_ns=result.elapsed_ns), result


def _throughput(name: str, options: Options, messages_per_frame: int, count: int, *, event_log: bool = False) -> Figure:
    traffic = _traffic(order_flow(options.seed, count, participants=1))
    even = traffic.spread()
    frame_count = -(-count // messages_per_frame)
    ours: list[Sample] = []
    theirs: list[Sample] = []
    reports_per_frame: list[float] = []
    refused: list[int] = []
    for _ in range(options.repeat):
        with _venue(event_log=event_log) as endpoint:
            sample, result = _send_all(endpoint, traffic, messages_per_frame, f"{name}, venue")
        ours.append(sample)
        reports_per_frame.append(traffic.report_count / result.answer_frame_count)
        refused.append(result.refused_count)
        grouped = min(_ANSWERS_PER_FRAME_MAX, max(1, round(reports_per_frame[-1])))
        with _peer("answer", frame_count, traffic.report_count, grouped, _REPORT_SIZE) as endpoint:
            sample, _ = _send_all(endpoint, even, messages_per_frame, f"{name}, bare ROUTER")
        theirs.append(sample)
    return compare(
        name,
        ours,
        theirs,
        yardstick="bare ROUTER",
        clock="wall time",
        config={
            "flow": "ome.orderflow, 3 instruments, one session",
            "seed": options.seed,
            "commands": count,
            "reports": traffic.report_count,
            "messages_per_frame": messages_per_frame,
            "window": _WINDOW,
            "policy": "async",
            "event_log": event_log,
            "reports_per_frame": statistics.median(reports_per_frame),
            "busy": statistics.median(refused),
            "compiler": _compiler(),
        },
    )


def _compiler() -> str:
    name: bytes = library().bench_wire_compiler()
    return name.decode()


def frames_of_1(options: Options) -> Figure:
    """A frame for each message."""
    return _throughput("wire-1", options, 1, options.count // 2)


def frames_of_16(options: Options) -> Figure:
    """16 messages a frame."""
    return _throughput("wire-16", options, 16, options.count)


def frames_of_64(options: Options) -> Figure:
    """64 messages a frame."""
    return _throughput("wire-64", options, 64, options.count)


def frames_of_64_logged(options: Options) -> Figure:
    """64 messages a frame, and the venue writes an event log."""
    return _throughput("wire-64-logged", options, 64, options.count, event_log=True)


# ---- round trip ----


def _new_and_cancel(count: int) -> Records:
    """An order that rests, its cancel, the next one: each command has one report."""
    flow = np.zeros(count, dtype=COMMAND)
    flow["client_order_id"] = np.arange(count) // 2 + 1
    flow["instrument"] = 1
    flow["kind"] = CommandKind.CANCEL_ORDER
    new = flow[::2]
    new["kind"], new["side"], new["price"], new["quantity"] = CommandKind.NEW_ORDER, Side.BUY, 15_000, 10
    new["order_type"], new["time_in_force"] = OrderType.LIMIT, TimeInForce.GTC
    return flow


def _round_trips(endpoint: str, traffic: _Traffic, what: str) -> npt.NDArray[np.uint64]:
    times = np.zeros(len(traffic.messages), dtype=np.uint64)
    load = _load(traffic, 1)
    with _session(endpoint) as table:
        check(library().bench_wire_round_trips(table, ctypes.byref(load), times.ctypes.data), what)
    return times


def _tcp_round_trips(port: str, count: int) -> npt.NDArray[np.uint64]:
    """As many bytes each way, over plain sockets, from Python."""
    times = np.zeros(count, dtype=np.uint64)
    request = bytes(COMMAND_MESSAGE.itemsize)
    with socket.create_connection(("127.0.0.1", int(port))) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for index in range(count):
            start_ns = time.monotonic_ns()
            connection.sendall(request)
            if len(connection.recv(_REPORT_SIZE, socket.MSG_WAITALL)) != _REPORT_SIZE:
                raise DriverError("answer", where="bare TCP", found="a part of it", allowed=f"{_REPORT_SIZE} bytes")
            times[index] = time.monotonic_ns() - start_ns
    return times


def round_trip(options: Options) -> Figure:
    """One order at a time, from its sending to its report: percentiles in microseconds, beside ZeroMQ's own and TCP's."""
    count = max(100, options.count // 100)
    traffic = _traffic(_new_and_cancel(count))
    if traffic.report_count != count:
        raise DriverError("reports", where="rtt", found=traffic.report_count, allowed=f"{count}, one a command")
    runs: dict[str, list[npt.NDArray[np.uint64]]] = {"ome": [], "echo": [], "tcp": []}
    for _ in range(options.repeat):
        with _venue() as endpoint:
            runs["ome"].append(_round_trips(endpoint, traffic, "rtt, venue"))
        with _peer("answer", count, count, 1, _REPORT_SIZE) as endpoint:
            runs["echo"].append(_round_trips(endpoint, traffic, "rtt, bare ROUTER"))
        with _peer("tcp", COMMAND_MESSAGE.itemsize, _REPORT_SIZE) as port:
            runs["tcp"].append(_tcp_round_trips(port, count))
    p50 = {subject: [float(np.percentile(times, 50)) / 1000 for times in found] for subject, found in runs.items()}
    p99 = {subject: statistics.median(float(np.percentile(times, 99)) / 1000 for times in found) for subject, found in runs.items()}
    value, echo, tcp = (statistics.median(p50[subject]) for subject in ("ome", "echo", "tcp"))
    ratios = [ours / theirs for ours, theirs in zip(p50["ome"], p50["echo"], strict=True)]
    return Figure(
        name="rtt",
        value=value,
        unit="us",
        yardstick=echo,
        ratio=value / echo,
        better="lower",
        config={
            "flow": "an order that rests and its cancel, in turn",
            "commands": count,
            "policy": "async",
            "p99_us": p99["ome"],
            "yardstick": "bare ROUTER",
            "yardstick_p99_us": p99["echo"],
            "tcp_us": tcp,
            "tcp_p99_us": p99["tcp"],
            "clock": "wall time",
            "repetitions": len(ratios),
            "ratio_min": min(ratios),
            "ratio_max": max(ratios),
            "ns_per_operation": value * 1000,
            "compiler": _compiler(),
            **machine(),
        },
    )
