"""How fast the orders of a client that has died are gone: from its end until the feed shows a book without them."""

from __future__ import annotations

import os
import select
import signal
import socket
import statistics
import time

from bench.driver import DriverError
from bench.figure import Figure, beside
from bench.options import Options
from bench.wire_ends import Venue, peer, venue
from bench.wire_library import compiler
from ome.client import MarketData
from ome.enums import Side

__all__ = ["disconnect"]

_INSTRUMENT = 1
_HEARTBEAT_S = 0.1
_TIMEOUT_S = 10.0


def _wait_for_order(feed: MarketData, *, is_there: bool) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    while bool(feed.levels(_INSTRUMENT, Side.BUY)) != is_there:
        if time.monotonic() > deadline:
            allowed = f"{'an' if is_there else 'no'} order within {_TIMEOUT_S} s"
            raise DriverError("book", where="disconnect", found="none" if is_there else "the order", allowed=allowed)
        feed.poll(_TIMEOUT_S)


def _gone_ms(found: Venue, how: signal.Signals, number: int) -> float:
    """From the signal to a client with an order at rest until the order is gone."""
    with MarketData(found.feed) as feed:
        feed.subscribe(_INSTRUMENT)
        with peer("holder", found.orders, f"HOLDER{number}", _HEARTBEAT_S) as holder:
            try:
                _wait_for_order(feed, is_there=True)
                start_ns = time.monotonic_ns()
                os.kill(holder.process.pid, how)
                _wait_for_order(feed, is_there=False)
                return (time.monotonic_ns() - start_ns) / 1e6
            finally:
                holder.process.kill()


def _bare_ms() -> float:
    """From the kill of a client until a bare TCP server sees the end of its connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener, peer("connect", listener.getsockname()[1]) as client:
        connection, _ = listener.accept()
        with connection:
            start_ns = time.monotonic_ns()
            client.process.kill()
            if not select.select([connection], [], [], _TIMEOUT_S)[0] or connection.recv(1):
                raise DriverError("connection", where="bare TCP", found="open", allowed=f"its end within {_TIMEOUT_S} s")
            return (time.monotonic_ns() - start_ns) / 1e6


def disconnect(options: Options) -> Figure:
    """A client's process is killed; in `config` also one that is stopped and says nothing for three heartbeats."""
    killed: list[float] = []
    bare: list[float] = []
    processes: list[float] = []
    frozen: list[float] = []
    with venue("thread") as one, venue("process") as two:
        for repetition in range(options.repeat):
            killed.append(_gone_ms(one, signal.SIGKILL, 2 * repetition))
            bare.append(_bare_ms())
            processes.append(_gone_ms(two, signal.SIGKILL, repetition))
            frozen.append(_gone_ms(one, signal.SIGSTOP, 2 * repetition + 1))
    return beside(
        "disconnect",
        killed,
        bare,
        "ms",
        {
            "measured_as": "from SIGKILL to a client with an order at rest until a subscriber's book is without it",
            "policy": "async",
            "gateway": "thread",
            "yardstick": "bare TCP's end",
            "max_ms": max(killed),
            "process_ms": statistics.median(processes),
            "frozen_ms": statistics.median(frozen),
            "frozen_heartbeat_ms": _HEARTBEAT_S * 1_000,
            "compiler": compiler(),
        },
    )
