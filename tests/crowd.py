"""The clients of a venue that is soaked: a steady load, and sessions and subscribers that come, trade, and leave in every way there is.

Each role runs in a process of its own (tests/processes.py, `answer`):

- `load`: a few sessions that send `--rate` orders a second in all, half of which trade; the rest rests and is cancelled.
- `comers`: `--rate` visits a second, each ending in the next of the ways in VISITS. Most are sessions of some fifty participants.
- `guest`: one session with a subscription that trades until its process is killed or stopped from outside.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from hostile import DEEP, OTHER, Target, Trades, logon
from processes import Client, ClientProcess, answer, is_asked
from venues import Wire, new_order
from zmtp import Cut, Peer, frame, ping, subscription

from ome.client import MarketData, OrderEntry
from ome.codec import COMMAND, Records
from ome.codec.wire import decode_message, encode_message
from ome.enums import CommandKind, OrderType, Side, TimeInForce
from ome.errors import OmeError

LOAD_SESSIONS: Final = 4
PARTICIPANTS: Final = 50
STALL_S: Final = 3.0
_TICK_S: Final = 0.01
_PENDING_MAX: Final = 20_000
_SETTLE_S: Final = 20.0


class Load:
    """Sessions whose orders trade with each other or are cancelled: the book stays as deep as it is."""

    def __init__(self, endpoint: str, rate: float) -> None:
        self._entries = [OrderEntry(endpoint, f"LOAD{number}", timeout=_SETTLE_S, reconnect=None) for number in range(LOAD_SESSIONS)]
        self._next_ids = [entry.logon.session << 48 | (time.time_ns() // 1000 & (1 << 47) - 1) for entry in self._entries]
        self._orders_a_tick = max(4, round(rate * _TICK_S / LOAD_SESSIONS / 4) * 4)
        self._tick_s = self._orders_a_tick * LOAD_SESSIONS / rate
        self._sent = self._skipped = 0

    def go(self) -> None:
        """Sends until a word comes in."""
        due = time.monotonic()
        while not is_asked():
            for index, entry in enumerate(self._entries):
                if entry.pending < _PENDING_MAX:
                    commands = self._commands(index)
                    entry.send(commands)
                    self._sent += len(commands)
                else:
                    self._skipped += self._orders_a_tick
                entry.receive(0.0)
            due += self._tick_s
            time.sleep(max(0.0, due - time.monotonic()))
            due = max(due, time.monotonic() - 1.0)  # what is more than a second late is not caught up

    def settle(self) -> dict[str, Any]:
        """Waits for all answers."""
        deadline = time.monotonic() + _SETTLE_S
        for entry in self._entries:
            while entry.pending and time.monotonic() < deadline:
                entry.receive(0.1)
        found = {"orders": self._sent, "skipped": self._skipped, "pending": sum(entry.pending for entry in self._entries)}
        self._sent = self._skipped = 0
        return found

    def _commands(self, index: int) -> Records:
        """In fours: a sale, the purchase that takes it, an order that rests, and its cancel."""
        count = self._orders_a_tick
        commands = np.zeros(count, dtype=COMMAND)
        fours = commands.reshape(-1, 4)
        commands["kind"] = CommandKind.NEW_ORDER
        commands["instrument"] = OTHER + 1 + index
        commands["order_type"] = OrderType.LIMIT
        commands["time_in_force"] = TimeInForce.GTC
        commands["price"], commands["quantity"] = 1_000, 10
        commands["client_order_id"] = np.arange(count, dtype=np.uint64) + np.uint64(self._next_ids[index])
        self._next_ids[index] += count
        fours["side"][:, [0, 2]], fours["side"][:, 1] = Side.SELL, Side.BUY
        fours["price"][:, 2] = 2_000 + np.arange(len(fours))
        cancels = np.zeros(len(fours), dtype=COMMAND)
        cancels["kind"], cancels["instrument"] = CommandKind.CANCEL_ORDER, OTHER + 1 + index
        cancels["client_order_id"] = fours["client_order_id"][:, 2]
        fours[:, 3] = cancels
        return commands


class Comers:
    """Visits, one after another, each of which ends in the next way. What stalls is kept until its time is over."""

    def __init__(self, orders: str, feed: str, rate: float, seed: int) -> None:
        self._orders, self._feed = orders, feed
        self._interval = 1 / rate
        self._random = random.Random(seed)
        self._target = Target(orders, feed, "", float("inf"), self._random)
        self._stalled: list[tuple[float, Peer]] = []
        self._visits = self._fresh = 0
        self._counts: dict[str, int] = {}
        self._failures: list[str] = []
        self._seed = time.time_ns() >> 20 & 0xFFFF

    def go(self) -> None:
        """Visits until a word comes in."""
        while not is_asked():
            begun = time.monotonic()
            visit = VISITS[self._visits % len(VISITS)]
            self._visits += 1
            name = visit.__name__.lstrip("_")
            try:
                visit(self)
                self._counts[name] = self._counts.get(name, 0) + 1
            except (Cut, AssertionError, OmeError) as error:
                self._failures.append(f"{name}: {str(error)[:120]}")
            while self._stalled and self._stalled[0][0] < time.monotonic():
                self._stalled.pop(0)[1].reset()
            time.sleep(max(0.0, begun + self._interval - time.monotonic()))

    def settle(self) -> dict[str, Any]:
        """How often each way was taken, and what went wrong. What stalls is reset."""
        for _, peer in self._stalled:
            peer.reset()
        found = {"counts": self._counts, "failures": self._failures[:5], "failure_count": len(self._failures)}
        self._stalled, self._counts, self._failures = [], {}, []
        return found

    # ---- what they are ----

    def _session(self, *, deaf: bool = False) -> Peer:
        """One of the participants, who has traded with itself, and heard of it unless it is deaf."""
        peer = self._target.trader(f"COMER{self._random.randrange(PARTICIPANTS)}", deaf=deaf)
        self._seed += 1
        peer.send(Trades(self._seed, instrument=DEEP).frame(4, peer))
        heard = 0
        while not deaf and heard < 16:  # of each of eight orders: ACCEPTED, TRADE
            heard += len(peer.receive_message()) // 112
        return peer

    def _subscriber(self, *, deaf: bool = False) -> Peer:
        peer = self._target.subscriber(deaf=deaf)
        peer.send(subscription(b""))
        return peer

    def _stall(self, peer: Peer) -> None:
        self._stalled.append((time.monotonic() + STALL_S, peer))

    # ---- how they leave ----

    def _logout(self) -> None:
        with self._session() as peer:
            peer.send(frame(encode_message("Logout")))
            kind, _ = decode_message(peer.receive_message())
            if kind != "Logout":
                raise Cut(f"{kind} instead of Logout")

    def _close(self) -> None:
        """As a client of libzmq that ends without a word."""
        with Wire(self._orders) as wire:
            wire.log_on(f"COMER{self._random.randrange(PARTICIPANTS)}")
            self._seed += 1
            wire.say(new_order(client_order_id=self._seed << 32, instrument=DEEP, time_in_force=TimeInForce.IOC, price=1))
            wire.hear_report()

    def _fin(self) -> None:
        self._session().close()

    def _half_close(self) -> None:
        with self._session() as peer:
            peer.half_close()
            with contextlib.suppress(Cut):
                peer.receive_message()

    def _rst(self) -> None:
        self._session().reset()

    def _rst_with_reports_on_their_way(self) -> None:
        self._session(deaf=True).reset()

    def _rst_in_the_handshake(self) -> None:
        self._target.connect(self._orders).reset()

    def _rst_behind_stalled_pings(self) -> None:
        """Its input waits, with PINGs in it: what aborted libzmq (zeromq/libzmq #4767)."""
        peer = self._target.connect(self._orders, b"DEALER", deaf=True)
        peer.offer((frame(logon("STALLED")) + ping()) * 500)
        peer.reset()

    def _rst_behind_one_byte_frames(self) -> None:
        peer = self._target.connect(self._orders, b"DEALER", deaf=True)
        peer.offer(frame(b"x") * 4_000)
        peer.reset()

    def _stalled_session(self) -> None:
        peer = self._session(deaf=True)
        self._stall(peer)
        for _ in range(20):
            self._seed += 1
            peer.offer(Trades(self._seed, instrument=DEEP).frame(64, peer))

    def _subscriber_closes(self) -> None:
        with MarketData(self._feed) as feed:
            feed.subscribe(DEEP, OTHER)
            feed.synchronize(_SETTLE_S)

    def _subscriber_rst(self) -> None:
        with self._subscriber() as peer:
            peer.receive_message()
            peer.reset()

    def _subscriber_stalled(self) -> None:
        self._stall(self._subscriber(deaf=True))

    def _somebody_new_without_orders(self) -> None:
        self._fresh += 1
        with self._target.trader(f"N{self._seed % 1_000_000}-{self._fresh}"[:16]) as peer:
            peer.send(frame(encode_message("Logout")))
            peer.receive_message()


VISITS: Final[tuple[Callable[[Comers], None], ...]] = (
    Comers._logout,
    Comers._close,
    Comers._fin,
    Comers._half_close,
    Comers._rst,
    Comers._rst_with_reports_on_their_way,
    Comers._rst_in_the_handshake,
    Comers._rst_behind_stalled_pings,
    Comers._rst_behind_one_byte_frames,
    Comers._stalled_session,
    Comers._subscriber_closes,
    Comers._subscriber_rst,
    Comers._subscriber_stalled,
    Comers._somebody_new_without_orders,
)


class Guest:
    """Trades a little and reads the feed, until its process is killed or stopped."""

    def __init__(self, orders: str, feed: str, name: str) -> None:
        self._entry = OrderEntry(orders, name, timeout=_SETTLE_S, reconnect=None)
        self._feed = MarketData(feed, self._entry.instruments)
        self._feed.subscribe(DEEP, OTHER)

    def go(self) -> None:
        """Until a word comes in."""
        while not is_asked():
            order = self._entry.buy("OTHER", 1, at="1")
            self._entry.cancel(order)
            list(self._entry.reports(0.0))
            self._feed.poll(0.05)

    def settle(self) -> dict[str, Any]:
        """Nothing."""
        return {}


def crowd_process(role: str, orders: str, feed: str, *, rate: float = 1.0, seed: int = 1, name: str = "GUEST") -> ClientProcess:
    """One of the roles in a process of its own."""
    options = [role, orders, feed, "--rate", str(rate), "--seed", str(seed), "--name", name]
    return ClientProcess(f"the {role}", [sys.executable, __file__, *options])


def main() -> int:
    """One role, asked on standard input."""
    parser = argparse.ArgumentParser(description="Clients of a venue that is soaked.")
    parser.add_argument("role", choices=("load", "comers", "guest"))
    parser.add_argument("orders")
    parser.add_argument("feed")
    parser.add_argument("--rate", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--name", default="GUEST")
    given = parser.parse_args()

    def make() -> Client:
        if given.role == "load":
            return Load(given.orders, given.rate)
        if given.role == "comers":
            return Comers(given.orders, given.feed, given.rate, given.seed)
        return Guest(given.orders, given.feed, given.name)

    return answer(make)


if __name__ == "__main__":
    sys.exit(main())
