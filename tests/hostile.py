"""Hostile clients of a venue, one function each: what a stranger with a socket can do to its ports.

Each runs in a process of its own (`main`), so that the system closes all that it leaves open:

    python tests/hostile.py ping-resets --orders tcp://127.0.0.1:5555 --feed tcp://127.0.0.1:5557 \
        --requests tcp://127.0.0.1:5556 --seconds 5 --seed 1

tests/sieges.py starts a venue with honest clients, lets them loose on it, and judges. The docstring of each opens with the incident that
it teaches. A connection that is cut or refused is a good answer: the attacker comes again. One that sees a wrong answer (an order taken
without a logon) reports a violation, in the JSON object that it prints at its end.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import signal
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from zmtp import (
    COMMAND,
    LONG,
    MORE,
    Cut,
    Peer,
    cancellation,
    command,
    frame,
    greeting,
    ping,
    property_of,
    ready,
    subscription,
)

from ome.codec.wire import decode_message, encode_message
from ome.enums import CommandFlags, OrderType, Reason, Side, Term, TimeInForce
from ome.errors import OmeError
from ome.marketdata import Channel, topic_of

HONEST, DEEP, OTHER = 1, 2, 3
"""Instruments of the venue under attack: of the honest clients, with a deep book, and for whoever likes."""
CONNECTIONS_A_SECOND: Final = 40.0
HELD_MAX: Final = 100
_FLOOD_BYTES: Final = 1 << 18
_STALLED_S: Final = 0.1


@dataclass
class Target:
    """What an attacker knows: the endpoints, how long it has, and chance from a seed."""

    orders: str
    feed: str
    requests: str
    until: float
    random: random.Random
    violations: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    _held: list[Peer] = field(default_factory=list)  # connections that stall, kept open

    @property
    def goes_on(self) -> bool:
        """Whether there is time left."""
        return time.monotonic() < self.until

    def count(self, what: str, number: int = 1) -> None:
        """For the note at the end."""
        self.counts[what] = self.counts.get(what, 0) + number

    def wait(self, seconds: float) -> None:
        """Sleeps so long, or until time is over, which may come sooner than it seemed."""
        end = time.monotonic() + seconds
        while (left := min(end, self.until) - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))

    def connect(self, endpoint: str, socket_type: bytes | None = None, *, identity: bytes | None = None, deaf: bool = False) -> Peer:
        """A connection; with a socket type, one that has shaken hands. `deaf` has a small window, since it will not read."""
        self.count("connections")
        peer = Peer(endpoint, receive_buffer=4096 if deaf else None)
        if socket_type is None:
            return peer
        try:
            peer.handshake(socket_type, identity)
        except Cut:
            peer.close()
            raise
        self.count("handshakes")
        return peer

    def trader(self, name: str, number: int = 0, *, deaf: bool = False) -> Peer:
        """A session that is logged on."""
        peer = self.connect(self.orders, b"DEALER", deaf=deaf)
        try:
            peer.send(frame(logon(name, number)))
            kind, fields = decode_message(peer.receive_message())
            if kind != "LogonAnswer" or fields["reason"] != Reason.NONE:
                raise Cut(f"logon of {name}: {kind} {fields.get('reason')}")
            peer.number = fields["command_sequence"]
        except Cut:
            peer.close()
            raise
        self.count("sessions")
        return peer

    def subscriber(self, *, deaf: bool = False) -> Peer:
        """A connection to the feed that has shaken hands."""
        return self.connect(self.feed, b"SUB", deaf=deaf)

    def again(self, one: Callable[[], None], rate: float = CONNECTIONS_A_SECOND) -> None:
        """`one` connection after another, at most `rate` a second, until time is over. One that is cut or refused is no failure."""
        while self.goes_on:
            begun = time.monotonic()
            try:
                one()
            except OSError:
                pass
            except OmeError as error:
                self.violations.append(f"an answer that is none of ours: {error}"[:200])
            except Exception as error:  # the attacker is broken: what it does not do the venue need not stand
                self.violations.append(f"the attacker: {error!r}"[:200])
                return
            self.wait(1 / rate - (time.monotonic() - begun))

    def together(self, *many: Callable[[], None]) -> None:
        """Each in a thread, again and again, until time is over."""
        threads = [threading.Thread(target=self.again, args=(one,), daemon=True) for one in many]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def flood(self, peer: Peer, data: bytes, *, reads: bool = False) -> None:
        """Sends `data` over and over, until time is over or the connection is cut; then it is reset.

        Where the venue takes nothing any more, the connection is left open as it is, and the caller makes another: what is bounded for one
        connection has to be bounded for all. Beyond HELD_MAX the oldest is reset.
        """
        block = memoryview(data * max(1, _FLOOD_BYTES // len(data)))
        offset = 0
        while self.goes_on:
            try:
                sent = peer.pour(block[offset:], min(self.until, time.monotonic() + _STALLED_S), reads=reads)
            except Cut:
                break
            self.count("bytes", sent)
            if sent == 0:
                self.count("stalled")
                self._held.append(peer)
                if len(self._held) > HELD_MAX:
                    self._held.pop(0).reset()
                return
            offset = (offset + sent) % len(block)
        peer.reset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """An attack, and what its venue must be like. `spoils`: it leaves orders behind, so the next attack gets a fresh venue."""

    name: str
    incident: str
    run: Callable[[Target], None]
    spoils: bool = False
    descriptor_limit: int | None = None
    """The venue's own limit of descriptors; such an attack is made against a venue of its own, and a newcomer comes while it lasts."""


ATTACKS: dict[str, Attack] = {}


def attack(**options: Any) -> Callable[[Callable[[Target], None]], Callable[[Target], None]]:
    """Registers a function as an attack, under its name with hyphens."""

    def register(run: Callable[[Target], None]) -> Callable[[Target], None]:
        name = run.__name__.replace("_", "-")
        ATTACKS[name] = Attack(name=name, incident=(run.__doc__ or "").strip().split("\n")[0], run=run, **options)
        return run

    return register


# ---- what they send ----


def logon(name: str, number: int = 0) -> bytes:
    """A Logon."""
    return encode_message("Logon", participant_name=name.encode("ascii"), session_number=number)


def order(client_order_id: int, side: Side, **fields: Any) -> bytes:
    """A limit order in the instrument for whoever likes."""
    defaults = {
        "client_order_id": client_order_id,
        "instrument": OTHER,
        "side": side,
        "order_type": OrderType.LIMIT,
        "time_in_force": TimeInForce.GTC,
        "price": 1_000,
        "quantity": 1,
    }
    return encode_message("NewOrder", **(defaults | fields))


class Trades:
    """Frames of orders that trade with each other: nothing is left at rest after each. Client order ids go on.

    A frame is numbered on from what the peer's session has sent.
    """

    def __init__(self, seed: int, instrument: int = OTHER) -> None:
        self._next_id = seed << 32
        self._instrument = instrument

    def frame(self, pairs: int, peer: Peer) -> bytes:
        """So many pairs of orders as one frame of this peer, up to 128."""
        messages = []
        for _ in range(pairs):
            for side in (Side.SELL, Side.BUY):
                self._next_id += 1
                peer.number += 1
                messages.append(order(self._next_id, side, instrument=self._instrument, session_sequence=peer.number))
        return frame(b"".join(messages))


def conversation(name: str) -> bytes:
    """All that an ordinary session sends, from the first byte of the greeting to its Logout."""
    orders = b"".join(order(number, side, session_sequence=number) for number, side in ((1, Side.BUY), (2, Side.SELL)))
    return greeting() + ready() + frame(logon(name)) + ping(0, b"x") + frame(orders) + frame(encode_message("Logout"))


# ---- 1: what aborts a library ----


@attack()
def ping_resets(target: Target) -> None:
    """libzmq #4364, #3937, #4767: PINGs wait behind input that is stalled, then the connection is reset: an assertion aborts the process.

    The queue to the gateway is filled with what takes it long (logons, whose answers are not read), with a PING behind each.
    """
    bait = (frame(logon("PINGRESET")) + ping()) * 500

    def one() -> None:
        peer = target.connect(target.orders, b"DEALER", deaf=True)
        try:
            peer.pour(bait * 60, min(target.until, time.monotonic() + target.random.choice((0.1, 0.3, 0.8))))
            target.wait(0.1)
        finally:
            peer.reset()

    target.together(*[one] * 4)


@attack()
def one_byte_frames(target: Target) -> None:
    """The same assertion without a PING of the peer: 48 connections send frames of one byte faster than they are taken, then reset."""
    data = frame(b"x") * 4_000

    def one() -> None:
        peers = []
        try:
            for _ in range(48):
                peers.append(target.connect(target.orders, b"DEALER", deaf=True))
            end = min(target.until, time.monotonic() + 1.0)
            while time.monotonic() < end:
                for peer in peers:
                    with contextlib.suppress(Cut):
                        target.count("bytes", peer.offer(data))
        finally:
            for peer in peers:
                peer.reset()

    target.again(one, rate=5)


@attack()
def ping_ttl(target: Target) -> None:
    """A peer chooses when it is to be given up (PING with a TTL), then is silent: timers that a peer sets must not pile up."""

    def one(endpoint: str, kind: bytes) -> None:
        peer = target.connect(endpoint, kind)
        for ttl in (1, 0, 65_535, 2, 1):
            peer.send(ping(ttl, b"context") * 20)
        target.wait(target.random.choice((0.0, 0.05, 0.25)))
        (peer.reset if target.random.random() < 0.5 else peer.close)()

    target.together(*[lambda: one(target.orders, b"DEALER"), lambda: one(target.feed, b"SUB")] * 2)


@attack()
def ping_floods(target: Target) -> None:
    """CVE-2019-9512 (HTTP/2 ping flood): each PING wants a PONG; the answers are not read and pile up."""
    good, long, illegal = ping(0, b"0123456789abcdef"), ping(0, b"x" * 200), command(b"PING", b"")
    target.together(
        lambda: target.flood(target.connect(target.orders, b"DEALER", deaf=True), good),
        lambda: target.flood(target.connect(target.feed, b"SUB", deaf=True), good),
        lambda: target.flood(target.connect(target.orders, b"DEALER", deaf=True), long),
        lambda: target.flood(target.connect(target.orders, b"DEALER"), illegal),
    )


@attack()
def pong_floods(target: Target) -> None:
    """PONGs that nobody asked for, short, long and empty: they cost work and say nothing."""
    target.together(
        lambda: target.flood(target.connect(target.orders, b"DEALER"), command(b"PONG", b"x" * 16)),
        lambda: target.flood(target.connect(target.feed, b"SUB"), command(b"PONG", b"x" * 240)),
        lambda: target.flood(target.connect(target.orders, b"DEALER"), command(b"PONG")),
    )


@attack()
def unknown_commands(target: Target) -> None:
    """CVE-2019-9515 (HTTP/2 settings flood): commands that nobody knows, without a name, after the handshake or instead of it."""
    names = [b"", b"X", b"READY", b"ERROR", b"HELLO", b"INITIATE", b"SUBSCRIBE", b"CANCEL", b"JOIN", b"\xff" * 255, b"\0" * 20]

    def one() -> None:
        endpoint, kind = target.random.choice(((target.orders, b"DEALER"), (target.feed, b"SUB")))
        bare = target.random.random() < 0.3
        peer = target.connect(endpoint, None if bare else kind)
        try:
            if bare:
                peer.send(greeting())
            for name in target.random.sample(names, 4):
                peer.send(command(name, target.random.randbytes(target.random.choice((0, 1, 9, 40)))) * 200)
                peer.drop()
            peer.send(frame(b"", COMMAND) + frame(b"\x09PI", COMMAND))  # no name; one that is longer than the command
        finally:
            peer.close()

    target.together(one, one)


@attack()
def huge_commands(target: Target) -> None:
    """Commands of any size, before, as and after READY: a peer chooses how much has to be kept until they are whole."""

    def one() -> None:
        endpoint, kind = target.random.choice(((target.orders, b"DEALER"), (target.feed, b"SUB")))
        size = target.random.choice((300, 5_000, 100_000, 4_000_000))
        stage = target.random.choice(("ready", "many", "after", "name"))
        peer = target.connect(endpoint)
        try:
            peer.send(greeting())
            metadata = property_of(b"Socket-Type", kind)
            if stage == "ready":
                peer.send(command(b"READY", metadata + property_of(b"X-Data", bytes(size))))
            elif stage == "many":
                peer.send(command(b"READY", metadata + property_of(b"X", b"") * (size // 6)))
            else:
                peer.send(ready(kind))
                peer.send(command(b"SUBSCRIBE" if stage == "after" else b"N" * 255, bytes(size)) * 4)
            target.wait(0.02)
        finally:
            peer.reset()

    target.together(one, one, one)


@attack()
def oversize_frames(target: Target) -> None:
    """CVE-2019-6250 (libzmq, arithmetic on a frame's 8-byte size): sizes of 2^63 and more, and those that fit but never come."""
    sizes = (2**63, 2**63 - 1, 2**64 - 1, 2**64 - 9, 2**32, 2**31 - 1, 2**30, 2**24, 65_536)

    def one() -> None:
        endpoint, kind = target.random.choice(((target.orders, b"DEALER"), (target.feed, b"SUB")))
        peers = []
        try:
            for size in target.random.sample(sizes, 4):
                peers.append(target.connect(endpoint, kind))
                flags = target.random.choice((LONG, LONG | MORE, LONG | COMMAND, 0xFF, 0x80))
                peers[-1].send(bytes([flags]) + struct.pack(">Q", size) + b"x" * 2_000)
            target.wait(0.05)
        finally:
            for peer in peers:
                peer.close()

    target.together(one, one, one)


@attack()
def empty_frames(target: Target) -> None:
    """CVE-2019-9518 (HTTP/2 empty frames flood): frames of no bytes, each of which is to be answered."""
    empty = frame(b"")
    target.together(
        lambda: target.flood(target.connect(target.orders, b"DEALER", deaf=True), empty),
        lambda: target.flood(target.trader("EMPTY"), empty, reads=True),
        lambda: target.flood(target.subscriber(), empty),
    )


@attack()
def cuts(target: Target) -> None:
    """CVE-2020-15166 (libzmq): a peer that never completes its handshake stops all others. Here a session cut at every byte.

    It ends by FIN, by RST, by half-close, or by silence.
    """
    number = 0

    def one() -> None:
        nonlocal number
        data = conversation("CUTS")
        number = (number * 7 + 1 if number == 0 else number + 7) % (len(data) + 1)
        target.count("cuts")
        peer = target.connect(target.orders)
        try:
            peer.send(data[:number])
            how = target.random.randrange(4)
            if how == 1:
                peer.half_close()
                target.wait(0.01)
            elif how == 2:
                target.wait(0.05)
        finally:
            (peer.reset if target.random.random() < 0.5 else peer.close)()

    target.again(one, rate=200)


@attack()
def resets(target: Target) -> None:
    """CVE-2023-44487 (HTTP/2 rapid reset): connections that end at each stage, with work for the venue still on its way."""
    trades = Trades(71)

    def one() -> None:
        stage = target.random.choice(("nothing", "greeting", "handshake", "logon", "orders", "subscription"))
        peer = target.connect(target.feed if stage == "subscription" else target.orders)
        try:
            if stage != "nothing":
                peer.send(greeting())
            if stage == "subscription":
                peer.send(ready(b"SUB") + subscription(b""))
            elif stage in ("handshake", "logon", "orders"):
                peer.send(ready())
            if stage in ("logon", "orders"):
                peer.send(frame(logon("RESETS", target.random.randrange(3))))
            if stage == "orders":
                peer.send(trades.frame(50, peer) * 4)
            target.wait(target.random.choice((0.0, 0.0, 0.01, 0.1)))
            if target.random.random() < 0.3:
                peer.half_close()
        finally:
            (peer.reset if target.random.random() < 0.7 else peer.close)()

    target.together(one, one, one)


# ---- 2: what takes memory ----


def _endless(target: Target, part: bytes, *, logged_on: bool) -> None:
    parts = frame(part, MORE)

    def one() -> None:
        peer = target.trader("ENDLESS") if logged_on else target.connect(target.orders, b"DEALER")
        target.flood(peer, parts)

    target.together(one, one)


@attack()
def endless_tiny(target: Target) -> None:
    """CVE-2024-27316 (HTTP/2 CONTINUATION flood): a message whose parts never end. Parts of one byte, before a logon."""
    _endless(target, b"x", logged_on=False)


@attack()
def endless_empty(target: Target) -> None:
    """As endless-tiny, with parts of no bytes: a limit in bytes alone does not see them. Before a logon."""
    _endless(target, b"", logged_on=False)


@attack()
def endless_large(target: Target) -> None:
    """As endless-tiny, with parts as large as a frame may be: 3 GB in 12 seconds, before a logon."""
    _endless(target, bytes(32_000), logged_on=False)


@attack()
def endless_tiny_logged_on(target: Target) -> None:
    """As endless-tiny, from a session that is logged on: a logon is no licence."""
    _endless(target, b"x", logged_on=True)


@attack()
def endless_large_logged_on(target: Target) -> None:
    """As endless-large, from a session that is logged on."""
    _endless(target, bytes(32_000), logged_on=True)


@attack()
def endless_subscriptions(target: Target) -> None:
    """A subscription whose parts never end: 3 GB in 6 seconds on the feed. Empty, tiny and as large as allowed."""
    parts = (b"", b"\x01", b"\x01" + bytes(999))
    target.together(*[lambda part=part: target.flood(target.subscriber(), frame(part, MORE)) for part in parts])


@attack()
def logon_floods(target: Target) -> None:
    """CVE-2019-9517 (HTTP/2 internal data buffering): short questions with long answers that are not read. 2.5 MB in, 2.5 GB out."""
    question = frame(logon("LOGONFLOOD"))
    target.together(*[lambda: target.flood(target.connect(target.orders, b"DEALER", deaf=True), question)] * 2)


@attack()
def heartbeat_floods(target: Target) -> None:
    """CVE-2019-9512 again, in our own protocol: TestRequests whose answers are not read, with and without a logon, at any interval."""
    question = frame(encode_message("TestRequest", request_id=1))

    def one() -> None:
        peer = target.connect(target.orders, b"DEALER", deaf=True)
        interval = target.random.choice((0, 1, 99, 100, 60_000, 60_001, 2**32 - 1))
        peer.send(frame(encode_message("Logon", participant_name=b"HEARTBEAT", heartbeat_ms=interval)))
        target.flood(peer, question)

    target.together(one, lambda: target.flood(target.connect(target.orders, b"DEALER", deaf=True), question))


@attack()
def resend_floods(target: Target) -> None:
    """CVE-2019-9517 (HTTP/2 internal data buffering) again: 56 bytes that ask for a long history, all the time, and read or not."""
    question = frame(encode_message("ResendRequest", next_report_sequence=1))
    trades = Trades(500 + (int(time.monotonic() * 1000) & 0xFFFF) * 256)

    def one(number: int, *, reads: bool) -> None:
        with target.trader("HISTORY", number) as peer:
            for _ in range(50):
                peer.send(trades.frame(100, peer))
                peer.drop()
                target.wait(0.005)
        peer = target.trader("HISTORY", number, deaf=not reads)
        try:
            while target.goes_on:
                target.count("bytes", peer.pour(question * 50, target.until, reads=reads))
                target.wait(0.005)
        finally:
            peer.reset()

    target.together(*[lambda number=number: one(number, reads=number % 2 == 0) for number in range(4)])


@attack()
def request_floods(target: Target) -> None:
    """A query that held the engine's lock: all orders and all fills of who has most, over and over, read or not; and logons."""
    questions = [
        frame(encode_message(name, request_id=1)) for name in ("OrdersRequest", "FillsRequest", "SessionsRequest", "InstrumentsRequest")
    ]
    logons = frame(logon("DEEP")) * 20
    garbage = frame(target.random.randbytes(64)) + frame(encode_message("OrderStatusRequest", order_id=1)) * 5

    def one(data: bytes, *, reads: bool) -> None:
        peer = target.connect(target.requests, b"DEALER", deaf=not reads)
        peer.send(frame(logon("DEEP")))
        target.flood(peer, data, reads=reads)

    everything = b"".join(questions)
    target.together(
        lambda: one(questions[0], reads=True),
        lambda: one(questions[1], reads=True),
        lambda: one(everything + logons, reads=False),
        lambda: one(everything + garbage, reads=True),
    )


@attack()
def repeated_frames(target: Target) -> None:
    """The same frames of orders again and again, and frames with numbers of the past and of the future: none is taken twice."""
    trades = Trades(600 + (int(time.monotonic() * 1000) & 0xFFFF) * 256)

    def one() -> None:
        with target.trader("REPEATS", target.random.randrange(4)) as peer:
            first = trades.frame(100, peer)
            peer.send(first)
            while target.goes_on:
                later = frame(order(1, Side.BUY, session_sequence=target.random.choice((1, peer.number + 2, 2**31, 2**32 - 1))))
                peer.send((first + later) * 5)
                peer.drop()
                target.wait(0.002)

    target.together(one, one)


@attack()
def unread_reports(target: Target) -> None:
    """A client that trades against itself and never reads: zeromq's slow receiver. Its reports are the venue's memory."""

    def one(number: int) -> None:
        trades = Trades(100 + number + (int(time.monotonic() * 1000) & 0xFFFF) * 256)
        peer = target.trader("UNREAD", number, deaf=True)
        try:
            while target.goes_on:
                peer.send(trades.frame(128, peer))
                target.count("orders", 256)
                target.wait(0.005)
        finally:
            peer.reset()

    target.together(*[lambda number=number: one(number) for number in range(4)])


@attack()
def unread_feed(target: Target) -> None:
    """pyzmq #52: a slow subscriber fills the memory. Thirty subscribe to all and never read, while the market is busy."""
    trades = Trades(200 + (int(time.monotonic() * 1000) & 0xFFFF) * 256)

    def subscribe() -> None:
        peers = []
        try:
            for _ in range(10):
                peers.append(target.subscriber(deaf=True))
                peers[-1].send(subscription(b""))
            target.wait(60)
        finally:
            for peer in peers:
                peer.reset()

    def trade() -> None:
        with target.trader("MARKET") as peer:
            while target.goes_on:
                peer.send(trades.frame(32, peer))
                peer.drop()
                target.wait(0.005)

    target.together(trade, subscribe, subscribe, subscribe)


@attack()
def fat_topics(target: Target) -> None:
    """CVE-2021-20237 (libzmq, xpub.cpp): what a subscriber sends takes memory. Distinct topics of 1,000 bytes, without end."""

    def one() -> None:
        peer = target.subscriber()
        try:
            while target.goes_on:
                block = b"".join(subscription(target.random.randbytes(1_000)) for _ in range(200))
                target.count("bytes", peer.pour(block, target.until))
        finally:
            peer.reset()

    target.together(one, one)


@attack()
def random_topics(target: Target) -> None:
    """Distinct short topics, of instruments that are not there, as messages and as commands of ZMTP 3.1."""

    def one() -> None:
        peer = target.subscriber()
        try:
            while target.goes_on:
                topics = [target.random.randbytes(target.random.choice((0, 1, 4, 8, 8, 8, 9, 40))) for _ in range(1_000)]
                block = b"".join(subscription(topic) if len(topic) % 2 else command(b"SUBSCRIBE", topic) for topic in topics)
                target.count("bytes", peer.pour(block, target.until, reads=True))
        finally:
            peer.reset()

    target.together(one, one)


@attack()
def subscription_churn(target: Target) -> None:
    """CVE-2021-20236 (libzmq): subscribe, then unsubscribe, what was never subscribed too, without a pause."""
    topics = [topic_of(Channel.TOP, number) for number in range(1, 200)] + [b"", b"\0\0\0\1"]
    block = b"".join(subscription(topic) + cancellation(topic) * 2 for topic in topics)
    target.together(*[lambda: target.flood(target.subscriber(), block, reads=True)] * 2)


# ---- 3: what costs everybody ----


def _ask_for_snapshots(target: Target, *, reads: bool) -> None:
    topic = topic_of(Channel.LEVELS, DEEP)
    question = cancellation(topic) + subscription(topic)

    def one() -> None:
        peer = target.subscriber(deaf=not reads)
        try:
            begun, asked = time.monotonic(), 0
            while target.goes_on:
                due = int((time.monotonic() - begun) * 1_000) - asked
                if due > 0:
                    peer.pour(question * due, target.until, reads=reads)
                    asked += due
                if reads:
                    peer.drop()
                target.wait(0.002)
            target.count("questions", asked)
        finally:
            peer.reset()

    target.together(one, one)


@attack()
def snapshot_floods(target: Target) -> None:
    """CVE-2019-9513 (HTTP/2 resource loop): 2,000 requests a second for a book of 20,000 levels, read all the time."""
    _ask_for_snapshots(target, reads=True)


@attack()
def snapshot_floods_unread(target: Target) -> None:
    """As snapshot-floods, and the snapshots are not read: 2.6 GB and two thirds of the venue's throughput."""
    _ask_for_snapshots(target, reads=False)


@attack()
def mass_cancel_floods(target: Target) -> None:
    """A mass cancel that matches nothing and reads every order of everybody: one client's request that all pay."""

    def one() -> None:
        with target.trader("CANCELS") as peer:
            while target.goes_on:
                numbers = range(peer.number + 1, peer.number + 65)
                peer.send(frame(b"".join(encode_message("MassCancel", session_sequence=number) for number in numbers)))
                peer.number += 64
                peer.drop()
                target.wait(0.01)

    target.together(one)


@attack(spoils=True)
def trailing_stops(target: Target) -> None:
    """60,000 trailing stops that wait in the honest clients' instrument: each of its trades has to pass them."""

    values = {"term_1": Term.STOP_PRICE, "value_1": 10, "term_2": Term.TRAIL_AMOUNT, "value_2": 5_000}
    stop = {"instrument": HONEST, "order_type": OrderType.TRAILING_STOP, "price": 0, "flags": CommandFlags.CONTINUED}

    def one() -> None:
        with target.trader("TRAILING") as peer:
            for start in range(0, 60_000, 100):
                messages = []
                for number in range(start + 1, start + 101):
                    messages.append(order(number, Side.SELL, session_sequence=peer.number + 1, **stop))
                    messages.append(encode_message("OrderTerms", session_sequence=peer.number + 2, instrument=HONEST, **values))
                    peer.number += 2
                peer.send(frame(b"".join(messages)))
                target.count("sent", 100)
                peer.drop()
                if not target.goes_on:
                    break
                target.wait(0.002)
            while target.goes_on:
                target.wait(0.05)
                peer.drop()

    target.together(one)


# ---- 4 and 5: numbers and names ----


@attack(spoils=True)
def session_numbers(target: Target) -> None:
    """One connection took every session number: DHCP starvation. New names without an order, with one, and numbers of one name, each anew.

    A connection may log on again only now and then, so each logon has a connection of its own.
    """
    numbers = iter(range(1, 1 << 30))

    def one() -> None:
        number = next(numbers)
        kind = number % 3
        with target.trader("TAKER" if kind == 2 else f"TAKER{number}", number if kind == 2 else 0) as peer:
            if kind == 1:
                peer.send(frame(order(number, Side.BUY, session_sequence=peer.number + 1, time_in_force=TimeInForce.IOC)))
                peer.receive_message()

    target.together(*[partial(target.again, one, 10_000.0)] * 4)


def _expect_not_logged_on(target: Target, peer: Peer, how: str) -> None:
    """An order on a connection that has not logged on: FrameReject NOT_LOGGED_ON, or the connection is cut. All else is a violation."""
    try:
        peer.send(frame(order(1, Side.BUY, time_in_force=TimeInForce.IOC, session_sequence=1)))
        kind, fields = decode_message(peer.receive_message())
    except Cut:
        target.count("cut")
        return
    if (kind, fields.get("reason")) != ("FrameReject", Reason.NOT_LOGGED_ON):
        target.violations.append(f"{how}: an order without a logon was answered by {kind} {fields.get('reason', '')}")
    target.count("refused")


@attack()
def identities(target: Target) -> None:
    """A peer that sets its routing id comes back with the same one, or with another's, and finds itself logged on."""

    def come_back() -> None:
        identity = target.random.choice((b"VICTIM", b"V" * 255, b"\x01\x02\x03\x04\x05"))
        peer = target.connect(target.orders, b"DEALER", identity=identity)
        try:
            peer.send(frame(logon("IDENTITY")))
            peer.receive_message()
        finally:
            (peer.reset if target.random.random() < 0.5 else peer.close)()
        target.wait(0.05)  # until the venue has seen that it is gone
        with target.connect(target.orders, b"DEALER", identity=identity) as second:
            _expect_not_logged_on(target, second, f"routing id {identity[:8]!r} after a reconnect")

    def be_another() -> None:
        with target.trader("FIRSTCOMER"), target.connect(target.orders, b"DEALER", identity=b"FIRSTCOMER") as second:
            _expect_not_logged_on(target, second, "routing id of a participant's name")

    def be_automatic() -> None:  # libzmq's own are a zero byte and four more
        identity = b"\0" + target.random.choice((struct.pack(">I", target.random.randrange(64)), target.random.randbytes(4)))
        with target.connect(target.orders, b"DEALER", identity=identity) as peer:
            _expect_not_logged_on(target, peer, f"routing id {identity!r}")

    target.together(come_back, be_another, be_automatic)


@attack()
def no_logons(target: Target) -> None:
    """Commands without a logon, one or many: each is refused, none is taken (the first check that any protocol forgets)."""

    def one() -> None:
        with target.connect(target.orders, b"DEALER") as peer:
            _expect_not_logged_on(target, peer, "no logon")
            peer.send(frame(encode_message("MassCancel")) * 50)
            for _ in range(50):
                kind, fields = decode_message(peer.receive_message())
                if (kind, fields.get("reason")) != ("FrameReject", Reason.NOT_LOGGED_ON):
                    target.violations.append(f"no logon: a mass cancel was answered by {kind} {fields.get('reason', '')}")

    target.again(one)
    if not target.counts.get("refused"):
        target.violations.append("no command without a logon was answered")


# ---- 6: what takes descriptors and time ----


@attack(descriptor_limit=160)
def silent_connections(target: Target) -> None:
    """A journal segment cannot be opened, since silent connections have all descriptors: the venue stops. Segments roll all the time."""
    peers: list[Peer] = []
    trades = Trades(300)

    def hold() -> None:
        for endpoint in (target.orders, target.feed):
            for _ in range(150):
                try:
                    peers.append(target.connect(endpoint))
                except Cut:
                    target.count("refused")
        target.wait(60)

    def trade() -> None:
        with target.trader("ROLLER") as peer:
            while target.goes_on:
                peer.send(trades.frame(16, peer))
                peer.drop()
                target.wait(0.01)

    target.together(trade, hold)


@attack()
def slow_connections(target: Target) -> None:
    """Slowloris (2009), CVE-2019-9511 (HTTP/2 data dribble): 64 connections that send one byte a second, each at another place."""
    data = conversation("SLOW")
    peers: list[tuple[Peer, int]] = []
    with contextlib.suppress(OSError):
        for number in range(64):
            start = number * len(data) // 64
            peer = target.connect(target.orders if number % 4 else target.feed)
            peer.send(data[:start])
            peers.append((peer, start))
    while target.goes_on:
        left = []
        for peer, place in peers:
            try:
                peer.send(data[place : place + 1])
                left.append((peer, (place + 1) % len(data)))
            except Cut:
                target.count("cut")
                peer.close()
        peers = left
        target.wait(1.0)


@attack()
def connection_storms(target: Target) -> None:
    """SYN floods' heirs: connections as fast as the system makes them, which end at once, or after a greeting."""

    def one() -> None:
        peer = target.connect(target.random.choice((target.orders, target.feed)))
        try:
            if target.random.random() < 0.5:
                peer.send(greeting())
        finally:
            (peer.reset if target.random.random() < 0.5 else peer.close)()

    for _ in iter(lambda: target.goes_on, False):
        with contextlib.suppress(OSError):
            one()
        target.wait(0.0005)


# ---- what is no ZMTP, or another ----


@attack()
def garbage(target: Target) -> None:
    """Heartbleed's lesson (CVE-2014-0160): bytes that mean nothing, at once, after the greeting, after the handshake, after the logon."""

    def one() -> None:
        stage = target.random.randrange(4)
        endpoint, kind = target.random.choice(((target.orders, b"DEALER"), (target.feed, b"SUB")))
        peer = target.trader("GARBAGE") if stage == 3 else target.connect(endpoint, kind if stage == 2 else None)
        try:
            if stage == 1:
                peer.send(greeting())
            for _ in range(20):
                data = target.random.randbytes(target.random.choice((1, 10, 100, 5_000)))
                peer.send(frame(data) if stage >= 2 and target.random.random() < 0.7 else data)
                peer.drop()
        finally:
            peer.close()

    target.together(one, one)


@attack()
def mutated_frames(target: Target) -> None:
    """Valid frames with a few bytes changed: what fuzzers found first in every parser. The honest instrument is left alone."""
    trades = Trades(400)

    def mutate(peer: Peer) -> bytes:
        base = bytearray(
            target.random.choice(
                (
                    trades.frame(1, peer)[2:],
                    logon("MUTANT"),
                    encode_message("MassCancel", instrument=OTHER),
                    encode_message("CancelOrder", client_order_id=5, instrument=OTHER),
                    encode_message("AmendOrder", client_order_id=5, instrument=OTHER, price=7, quantity=3),
                    encode_message("OrderTerms", instrument=OTHER),
                )
            )
        )
        for _ in range(target.random.randrange(1, 5)):
            place = target.random.randrange(len(base))
            is_name = base[2] == 128 and 8 <= place < 26  # of a logon: new names would take session numbers, which is another attack
            if not 52 <= place % 64 < 56 and not is_name:  # nor the instrument
                base[place] = target.random.choice((0, 1, 2, 127, 128, 255, target.random.randrange(256)))
        if target.random.random() < 0.2:
            del base[target.random.randrange(len(base)) :]
        return bytes(base)

    def one() -> None:
        with target.trader("MUTANT") as peer:
            for _ in range(50):
                peer.send(b"".join(frame(mutate(peer)) for _ in range(20)))
                peer.drop()
                if not target.goes_on:
                    return

    target.together(one, one)


@attack()
def old_versions(target: Target) -> None:
    """CVE-2014-7202, CVE-2014-9721 (downgrade), CVE-2021-20235 (heap overflow in the decoder): peers that speak ZMTP 1.0 or 2.0."""
    signature = b"\xff" + bytes(7) + b"\x01\x7f"
    openings = (
        b"\x01\x00" + b"\x02\x00x" * 50,  # 1.0: no greeting, an anonymous identity, frames
        b"\x06\x00VICTI" + b"\x02\x00x" * 50,  # 1.0 with an identity
        signature + b"\x00\x05\x00\x00",  # 1.0 with a signature
        signature + b"\x01\x05\x00\x00" + b"\x00\x01x" * 50,  # 2.0 as DEALER
        signature + b"\x01\x02\x00\x00" + b"\x00\x09\x01" + bytes(8),  # 2.0 as SUB
        signature + b"\x01\x05\x00\xff" + b"x" * 300,  # 2.0 with a long identity
        greeting(version=(0, 0)),
        greeting(version=(2, 0)),
        greeting(version=(3, 0)) + ready() + frame(logon("OLD")),
        greeting(version=(255, 255)) + ready(),
    )

    def one() -> None:
        peer = target.connect(target.random.choice((target.orders, target.feed)))
        try:
            peer.send(target.random.choice(openings))
            target.wait(0.01)
            peer.drop()
        finally:
            (peer.reset if target.random.random() < 0.5 else peer.close)()

    target.together(one, one)


@attack()
def mechanisms(target: Target) -> None:
    """CVE-2019-13132 (libzmq, CURVE): greetings for a security mechanism that this port does not have."""

    def one() -> None:
        name = target.random.choice((b"PLAIN", b"CURVE", b"GSSAPI", b"", b"null", b"NULL\0X", b"\xff" * 20))
        peer = target.connect(target.random.choice((target.orders, target.feed)))
        try:
            peer.send(greeting(name, as_server=target.random.random() < 0.3))
            peer.send(command(b"HELLO", target.random.randbytes(target.random.choice((0, 10, 194, 2_000)))))
            peer.send(command(b"INITIATE", target.random.randbytes(248)) + ready() + frame(logon("CURVE")))
            peer.drop()
        finally:
            peer.close()

    target.together(one, one)


@attack()
def wrong_types(target: Target) -> None:
    """Socket types that do not belong to the port, none, two, or one that nobody knows: the READY of somebody else."""
    kinds = [*b"PUB SUB XSUB XPUB REQ REP ROUTER DEALER PUSH PULL PAIR STREAM".split(), b"", b"\0", b"D" * 255]

    def one() -> None:
        kind = target.random.choice(kinds)
        bodies = (
            property_of(b"Socket-Type", kind),
            property_of(b"Socket-Type", kind) * 2,
            property_of(b"socket-type", kind),
            property_of(b"Identity", bytes(300)) + property_of(b"Socket-Type", kind),
            property_of(b"Socket-Type", kind)[:-1],
            b"\x0bSocket-Type\xff\xff\xff\xff" + kind,
            b"",
        )
        peer = target.connect(target.random.choice((target.orders, target.feed)))
        try:
            peer.send(greeting() + command(b"READY", target.random.choice(bodies)))
            peer.send(frame(logon("WRONGTYPE")) + frame(b"", MORE) + frame(logon("WRONGTYPE")) + subscription(b""))
            target.wait(0.01)
            peer.drop()
        finally:
            peer.close()

    target.together(one, one)


def lines() -> Iterator[str]:
    """Name and incident of every attack."""
    width = max(map(len, ATTACKS))
    for each in ATTACKS.values():
        yield f"{each.name:<{width}}  {each.incident}"


def main() -> int:
    """One attack against endpoints given, from the command line."""
    parser = argparse.ArgumentParser(description="One hostile client.")
    parser.add_argument("name", choices=ATTACKS)
    parser.add_argument("--orders", required=True)
    parser.add_argument("--feed", required=True)
    parser.add_argument("--requests", required=True)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    target = Target(given.orders, given.feed, given.requests, time.monotonic() + given.seconds, random.Random(given.seed))
    signal.signal(signal.SIGTERM, lambda *_: setattr(target, "until", 0.0))  # that is enough
    print("begun", flush=True)
    ATTACKS[given.name].run(target)
    print(json.dumps({"violations": sorted(set(target.violations))[:10], "counts": target.counts}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
