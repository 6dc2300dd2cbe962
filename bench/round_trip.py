"""Figures of a round trip: one order at a time, from its sending to its report, beside ZeroMQ's own, TCP's and the disk's."""

from __future__ import annotations

import socket
import statistics
import time
from collections import defaultdict

import numpy as np
import numpy.typing as npt

from bench import driver
from bench.driver import DriverError
from bench.figure import Figure, beside
from bench.options import Options
from bench.wakeups import wakeup_count, wakeup_us
from bench.wire_ends import REPORT_SIZE, Traffic, peer, resting_orders, round_trips, session, venue
from bench.wire_library import compiler
from ome.codec.layouts import COMMAND_MESSAGE

__all__ = ["durable", "gateway_process", "round_trip"]

_SYNCS = 1.5  # that a durable order may add


def _count(options: Options) -> int:
    return max(100, options.count // 100)


def _tcp_round_trips(port: str, count: int) -> npt.NDArray[np.uint64]:
    """As many bytes each way, over plain sockets, from Python."""
    times = np.zeros(count, dtype=np.uint64)
    request = bytes(COMMAND_MESSAGE.itemsize)
    with socket.create_connection(("127.0.0.1", int(port))) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for index in range(count):
            start_ns = time.monotonic_ns()
            connection.sendall(request)
            if len(connection.recv(REPORT_SIZE, socket.MSG_WAITALL)) != REPORT_SIZE:
                raise DriverError("answer", where="bare TCP", found="a part of it", allowed=f"{REPORT_SIZE} bytes")
            times[index] = time.monotonic_ns() - start_ns
    return times


class _Times:
    """Percentiles in microseconds of each run of several subjects."""

    def __init__(self) -> None:
        self.p50: dict[str, list[float]] = defaultdict(list)
        self._p99: dict[str, list[float]] = defaultdict(list)

    def add(self, subject: str, times_ns: npt.NDArray[np.uint64]) -> None:
        """One run."""
        self.p50[subject].append(float(np.percentile(times_ns, 50)) / 1_000)
        self._p99[subject].append(float(np.percentile(times_ns, 99)) / 1_000)

    def median(self, subject: str) -> float:
        """The median over runs of their medians."""
        return statistics.median(self.p50[subject])

    def p99_us(self, subject: str) -> float:
        """The median over runs of their 99th percentiles."""
        return statistics.median(self._p99[subject])


def _venue_times(traffic: Traffic, gateway: str, what: str, **settings: object) -> tuple[npt.NDArray[np.uint64], float]:
    """The times of a venue made for them, and the wake-ups of its threads for each."""
    in_memory = settings.get("policy") != "commit"
    with venue(gateway, in_memory=in_memory, **settings) as found, session(found.orders) as address:
        before = wakeup_count(found.pids)
        times = round_trips(address, traffic, what)
        return times, (wakeup_count(found.pids) - before) / len(times)


def _config(traffic: Traffic, gateway: str, policy: str, wakeups: list[float]) -> dict[str, object]:
    return {
        "flow": "an order that rests and its cancel, in turn",
        "commands": len(traffic.messages),
        "policy": policy,
        "gateway": gateway,
        "wakeups_per_operation": statistics.median(wakeups),
        "compiler": compiler(),
    }


def _beside_router(name: str, options: Options, gateway: str) -> Figure:
    traffic = resting_orders(_count(options))
    count = len(traffic.messages)
    times = _Times()
    wakeups: list[float] = []
    wakeups_us: list[float] = []
    for _ in range(options.repeat):
        found, per_operation = _venue_times(traffic, gateway, f"{name}, venue")
        times.add("ome", found)
        wakeups.append(per_operation)
        with peer("answer", count, count, 1, REPORT_SIZE) as router, session(router.endpoint) as address:
            times.add("echo", round_trips(address, traffic, f"{name}, bare ROUTER"))
        with peer("tcp", COMMAND_MESSAGE.itemsize, REPORT_SIZE) as echo:
            times.add("tcp", _tcp_round_trips(echo.endpoint, count))
        wakeups_us.append(wakeup_us())
    return beside(
        name,
        times.p50["ome"],
        times.p50["echo"],
        "us",
        {
            **_config(traffic, gateway, "async", wakeups),
            "wakeup_us": statistics.median(wakeups_us),
            "p99_us": times.p99_us("ome"),
            "yardstick": "bare ROUTER",
            "yardstick_p99_us": times.p99_us("echo"),
            "tcp_us": times.median("tcp"),
            "tcp_p99_us": times.p99_us("tcp"),
            "ns_per_operation": times.median("ome") * 1_000,
        },
    )


def round_trip(options: Options) -> Figure:
    """Order entry in the server's process."""
    return _beside_router("rtt", options, "thread")


def gateway_process(options: Options) -> Figure:
    """Order entry in a process of its own."""
    return _beside_router("rtt-process", options, "process")


def _sync_us(options: Options) -> float:
    """The median of a bare fdatasync of 64 bytes into a file written with zeros, on the disk that the journal is on."""
    output = driver.run("commit-latency", count=max(100, options.count // 1_000), repeat=1, seed=options.seed)
    (line,) = output.of("latency", "disk")
    return int(str(line["p50_ns"])) / 1_000


def durable(options: Options) -> Figure:
    """An order whose report waits for the disk, beside the same with a report at once, and a bare fdatasync and a half."""
    traffic = resting_orders(_count(options))
    times = _Times()
    wakeups: list[float] = []
    syncs_us: list[float] = []
    for _ in range(options.repeat):
        found, per_operation = _venue_times(traffic, "thread", "rtt-commit, commit", policy="commit")
        times.add("commit", found)
        wakeups.append(per_operation)
        times.add("async", _venue_times(traffic, "thread", "rtt-commit, async")[0])
        syncs_us.append(_sync_us(options))
    allowed = [bare + _SYNCS * sync for bare, sync in zip(times.p50["async"], syncs_us, strict=True)]
    return beside(
        "rtt-commit",
        times.p50["commit"],
        allowed,
        "us",
        {
            **_config(traffic, "thread", "commit", wakeups),
            "p99_us": times.p99_us("commit"),
            "yardstick": "async + 1.5 sync",
            "async_us": times.median("async"),
            "async_p99_us": times.p99_us("async"),
            "sync_us": statistics.median(syncs_us),
            "ns_per_operation": times.median("commit") * 1_000,
        },
    )
