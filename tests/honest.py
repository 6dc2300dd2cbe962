"""Honest clients of a venue that is attacked or soaked: a trader whose reports are counted one by one, and a subscriber that keeps a book.

Each runs in a process of its own (tests/processes.py, `answer`), and answers `settle` by what it counted. The trader sends at a steady
rate, whether or not the venue answers, so that a venue which stands still is seen as late.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any, Final

import numpy as np
from processes import Client, ClientProcess, answer, is_asked

from ome.client import MarketData, OrderEntry
from ome.codec import encode_commands
from ome.enums import EventKind, OrderType, Side, TimeInForce
from ome.messages import NewOrder

RATE: Final = 400
"""Orders a second."""
PENDING_MAX: Final = 2_000
_PRICE: Final = 10_000
_SETTLE_S: Final = 20.0


class Trader:
    """Sells 1 and buys it back, in turn, at one price. So each order has exactly two reports: ACCEPTED, then TRADE with nothing left."""

    def __init__(self, endpoint: str, name: str, instrument: int, rate: float) -> None:
        self._entry = OrderEntry(endpoint, name, timeout=_SETTLE_S, reconnect=None)
        self._instrument = instrument
        self._interval = 1 / rate
        self._next_id = self._entry.logon.session << 48 | (time.time_ns() // 1000 & (1 << 47) - 1)
        self._begin()

    def _begin(self) -> None:
        self._sent_at: dict[int, float] = {}
        self._progress: dict[int, int] = {}  # by client order id: reports that came
        self._times: list[tuple[float, float]] = []  # when it was sent, and seconds until its first report
        self._report_count = 0
        self._wrong: list[str] = []
        self._skipped = 0
        self._last_engine_sequence = 0

    def go(self) -> None:
        """Trades until a line comes in."""
        due = time.monotonic()
        while not is_asked():
            now = time.monotonic()
            while due <= now:
                due += self._interval
                if self._entry.pending < PENDING_MAX:
                    self._send()
                else:
                    self._skipped += 1
            self._take(max(0.0, due - time.monotonic()))

    def settle(self) -> dict[str, Any]:
        """Waits for all reports. What came of the orders since the last time."""
        if len(self._sent_at) % 2:
            self._send()
        deadline = time.monotonic() + _SETTLE_S
        while self._report_count < 2 * len(self._sent_at) and time.monotonic() < deadline:
            self._take(0.1)
        missing = sum(2 - count for count in self._progress.values() if count < 2)
        found = {
            "orders": len(self._sent_at),
            "reports": self._report_count,
            "missing": missing,
            "wrong": self._wrong[:5],
            "wrong_count": len(self._wrong),
            "skipped": self._skipped,
            "times": self._times,
        }
        self._begin()
        return found

    def _send(self) -> None:
        number = self._next_id
        self._next_id += 1
        side = Side.BUY if len(self._sent_at) % 2 else Side.SELL
        command = NewOrder(
            client_order_id=number,
            instrument=self._instrument,
            side=side,
            order_type=OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
            price=_PRICE,
            quantity=1,
        )
        records = encode_commands([command])
        self._progress[number] = 0
        self._sent_at[number] = time.monotonic()
        self._entry.send(records)

    def _take(self, timeout: float) -> None:
        rows = self._entry.receive(timeout)  # raises ReportGap where one is missing, twice or out of order
        now = time.monotonic()
        names = ("client_order_id", "kind", "leaves_quantity", "engine_sequence")
        for number, kind, leaves, sequence in zip(*(rows[name].tolist() for name in names), strict=True):
            self._report_count += 1
            came = self._progress.get(number, -1)
            expected = {0: (EventKind.ACCEPTED, 1), 1: (EventKind.TRADE, 0)}.get(came)
            if (kind, leaves) != expected or sequence < self._last_engine_sequence:
                self._wrong.append(f"report {came + 1} of order {number}: kind {kind}, leaves {leaves}, expected {expected}")
                continue
            self._last_engine_sequence = sequence
            self._progress[number] = came + 1
            if came == 0:
                self._times.append((self._sent_at[number], now - self._sent_at[number]))


class Subscriber:
    """Keeps the book of the trader's instrument, and counts its trades."""

    def __init__(self, endpoint: str, instrument: int) -> None:
        self._feed = MarketData(endpoint)
        self._instrument = instrument
        self._feed.subscribe(instrument)
        self._feed.synchronize(_SETTLE_S)
        self._trades = 0
        self._gaps = self._feed.gap_count

    def go(self) -> None:
        """Reads until a line comes in."""
        while not is_asked():
            self._poll(0.02)

    def settle(self) -> dict[str, Any]:
        """Reads until nothing comes any more. What it saw since the last time."""
        while self._poll(0.15):
            pass
        levels = [self._feed.levels(self._instrument, side) for side in Side]
        found = {
            "trades": self._trades,
            "gaps": self._feed.gap_count - self._gaps,
            "stale": self._feed.is_stale(self._instrument),
            "levels": levels,
        }
        self._trades, self._gaps = 0, self._feed.gap_count
        return found

    def _poll(self, timeout: float) -> bool:
        updates = self._feed.poll(timeout)
        self._trades += sum(len(update.messages) for update in updates if update.channel.name == "TRADES")
        return bool(updates)


def honest_process(role: str, endpoint: str, instrument: int, *, name: str = "HONEST", rate: float = RATE) -> ClientProcess:
    """An honest client in a process of its own: `trader` or `subscriber`."""
    options = [role, endpoint, str(instrument), "--name", name, "--rate", str(rate)]
    return ClientProcess(f"the honest {role}", [sys.executable, __file__, *options])


def percentile_ms(seconds: list[float], percent: float) -> float:
    """A percentile of some times, in milliseconds; 0 where there are none."""
    return float(np.percentile(seconds, percent)) * 1000 if seconds else 0.0


def main() -> int:
    """One honest client, asked on standard input."""
    parser = argparse.ArgumentParser(description="One honest client.")
    parser.add_argument("role", choices=("trader", "subscriber"))
    parser.add_argument("endpoint")
    parser.add_argument("instrument", type=int)
    parser.add_argument("--name", default="HONEST")
    parser.add_argument("--rate", type=float, default=RATE)
    given = parser.parse_args()

    def make() -> Client:
        if given.role == "trader":
            return Trader(given.endpoint, given.name, given.instrument, given.rate)
        return Subscriber(given.endpoint, given.instrument)

    return answer(make)


if __name__ == "__main__":
    sys.exit(main())
