"""The two ends of a wire's figure: a session in this process whose loops are in C, and a venue, or what is compared with it, in another."""

from __future__ import annotations

import contextlib
import ctypes
import json
import shutil
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
from bench.wire_library import Load, check, library, zmq_socket
from ome.cli.main import DEFAULT_INSTRUMENTS
from ome.codec import COMMAND, Records, logon_message
from ome.codec.layouts import EXECUTION_REPORT_MESSAGE
from ome.codec.wire import decode_message, numbered_messages
from ome.engine import Engine
from ome.enums import CommandKind, EventKind, OrderType, Reason, Side, TimeInForce
from ome.keys import ClientKeys
from ome.transport import Context

__all__ = [
    "PARTICIPANT",
    "REPORT_SIZE",
    "WINDOW",
    "Peer",
    "Traffic",
    "Venue",
    "load_of",
    "peer",
    "resting_orders",
    "round_trips",
    "session",
    "traffic_of",
    "venue",
]

PARTICIPANT = "BENCH"
WINDOW = 4_096  # commands without their reports
REPORT_SIZE = EXECUTION_REPORT_MESSAGE.itemsize
_IN_MEMORY = Path("/dev/shm")
_MEMORY_FREE_MIN_BYTES = 1 << 30
_TIMEOUT_S = 10.0


# ---- what is sent ----


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Messages of a session, ready to be sent, and how many reports the first n of them cause (`reports_after[n]`)."""

    messages: npt.NDArray[np.void]
    reports_after: npt.NDArray[np.uint64]

    @property
    def report_count(self) -> int:
        """The reports of all."""
        return int(self.reports_after[-1])

    def spread(self) -> Traffic:
        """As many reports, spread evenly: what the bare ROUTER sends."""
        count = len(self.messages)
        even = np.arange(count + 1, dtype=np.uint64) * np.uint64(self.report_count) // np.uint64(count)
        return Traffic(messages=self.messages, reports_after=even)


def traffic_of(flow: Records) -> Traffic:
    """Each event of the flow's commands is a report, a trade two: one for each side, and all are of this session."""
    with Engine(DEFAULT_INSTRUMENTS) as engine:
        before = engine.sequence
        events = engine.apply_records(flow)
    reports = np.bincount(
        (events["sequence"] - before - 1).astype(np.int64), weights=1 + (events["kind"] == EventKind.TRADE), minlength=len(flow)
    )
    after = np.concatenate(([0], np.cumsum(reports))).astype(np.uint64)
    return Traffic(messages=numbered_messages(flow, 1), reports_after=after)


def resting_orders(count: int, before: int = 0) -> Traffic:
    """An order that rests, its cancel, the next one, after `before` such commands of the session: each command has one report."""
    flow = np.zeros(count, dtype=COMMAND)
    flow["client_order_id"] = (before + np.arange(count)) // 2 + 1
    flow["instrument"] = 1
    flow["kind"] = CommandKind.CANCEL_ORDER
    new = flow[before % 2 :: 2]
    new["kind"], new["side"], new["price"], new["quantity"] = CommandKind.NEW_ORDER, Side.BUY, 15_000, 10
    new["order_type"], new["time_in_force"] = OrderType.LIMIT, TimeInForce.GTC
    return Traffic(messages=numbered_messages(flow, before + 1), reports_after=np.arange(count + 1, dtype=np.uint64))


def load_of(traffic: Traffic, messages_per_frame: int) -> Load:
    """For C; `traffic` must outlive it."""
    return Load(
        messages=traffic.messages.ctypes.data,
        message_count=len(traffic.messages),
        answers_after=traffic.reports_after.ctypes.data,
        window_message_count=WINDOW,
        messages_per_frame=messages_per_frame,
        answer_size_bytes=REPORT_SIZE,
    )


# ---- the other end ----


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Another process, and the words that it said when it was ready."""

    process: subprocess.Popen[str]
    words: tuple[str, ...]

    @property
    def endpoint(self) -> str:
        """The first of the words: where it listens."""
        return self.words[0]


@contextlib.contextmanager
def peer(kind: str, *arguments: object) -> Iterator[Peer]:
    """A process of bench/peer.py. Raises DriverError where it does not start."""
    command = [sys.executable, "-m", "bench.peer", kind, *map(str, arguments)]
    with subprocess.Popen(command, cwd=driver.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None, "it is a pipe"
        try:
            words = tuple(process.stdout.readline().split())
            if not words:
                raise DriverError("endpoint", where=" ".join(command[1:]), found="nothing", allowed="one")
            yield Peer(process=process, words=words)
        finally:
            with contextlib.suppress(BrokenPipeError):
                process.communicate(timeout=_TIMEOUT_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """A venue's addresses, and its processes: the gateway's too, where it has one."""

    orders: str
    feed: str
    pids: tuple[int, ...]


@contextlib.contextmanager
def venue(gateway: str, *, in_memory: bool = True, **settings: object) -> Iterator[Venue]:
    """A server, its gateway a "thread" or a "process"; `settings` are fields of its ServerConfig.

    Its journal is in memory where there is room, so that no disk is measured, or else in build/bench.
    """
    has_room = _IN_MEMORY.is_dir() and shutil.disk_usage(_IN_MEMORY).free >= _MEMORY_FREE_MIN_BYTES
    place = _IN_MEMORY if in_memory and has_room else driver.BUILD
    fields = json.dumps({"gateway": gateway, "policy": "async", "event_log": False, **settings})
    with tempfile.TemporaryDirectory(dir=place) as directory, peer("venue", directory, fields) as found:
        orders, feed = found.words
        pids = (found.process.pid, *_children(found.process.pid))
        if len(pids) != (2 if gateway == "process" else 1):
            raise DriverError("processes of a venue", where=f'gateway "{gateway}"', found=len(pids), allowed="a gateway's if it has one")
        yield Venue(orders=orders, feed=feed, pids=pids)


def _children(pid: int) -> list[int]:
    return [int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text("ascii").split()]


# ---- this end ----


@contextlib.contextmanager
def session(
    endpoint: str, participant: str = PARTICIPANT, *, keys: ClientKeys | None = None, context: Context | None = None
) -> Iterator[int]:
    """A connection that has said its logon and got an answer; the address of its socket for C. Sessions may share a `context`."""
    with contextlib.ExitStack() as stack:
        client = (context or stack.enter_context(Context())).connect_client(endpoint, keys=keys)
        client.send(logon_message(participant))
        deadline = time.monotonic() + _TIMEOUT_S
        while (answer := client.receive()) is None:
            if time.monotonic() > deadline:
                raise DriverError("answer to the logon", where=endpoint, found="none", allowed=f"one within {_TIMEOUT_S} s")
            client.wait(0.1)
        name, fields = decode_message(answer)
        if name == "LogonAnswer" and fields["reason"] != Reason.NONE:
            raise DriverError("logon", where=endpoint, found=Reason(fields["reason"]).name, allowed=Reason.NONE.name)
        yield stack.enter_context(zmq_socket(client.handle, has_peers=False))


def round_trips(address: int, traffic: Traffic, what: str) -> npt.NDArray[np.uint64]:
    """Sends one message at a time and waits for its report: the time of each in nanoseconds."""
    times = np.zeros(len(traffic.messages), dtype=np.uint64)
    load = load_of(traffic, 1)
    check(library().bench_wire_round_trips(address, ctypes.byref(load), times.ctypes.data), what)
    return times
