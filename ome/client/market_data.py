"""Market data: subscriptions, books that are kept up to date, tops and trades."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from types import TracebackType

import numpy as np

from ome.client.directory import InstrumentDirectory
from ome.client.errors import TimedOut
from ome.enums import Side
from ome.errors import InvalidValueError, NotCopyable, one_of
from ome.instruments import Instrument
from ome.marketdata import Book, BookBuilder, Channel, read_topic, split_frame, topic_of
from ome.marketdata.book_builder import Messages
from ome.messages import NULL_VALUE
from ome.transport import Context
from ome.units import Integer, integer_of

__all__ = ["MarketData", "Top", "TradePrint", "Update"]

_DRAIN_FRAMES = 1_000  # received in a row before the caller gets its turn
_SNAPSHOT_WAIT = 0.5  # seconds before a snapshot that did not come is asked for again
_LEVEL_SNAPSHOT = 163
_TEMPLATES = {Channel.TOP: 160, Channel.TRADES: 161, Channel.LEVELS: 162}


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """One frame: its messages as an array (dtype of TopOfBook, LevelUpdate or TradePrint). `is_snapshot`: the levels are all there are."""

    channel: Channel
    instrument: int
    messages: Messages
    is_snapshot: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Top:
    """The best bid and ask; a price is None, and its quantity 0, where a side is empty."""

    symbol: str
    bid_price: Decimal | None
    bid_quantity: Decimal
    ask_price: Decimal | None
    ask_quantity: Decimal
    engine_sequence: int
    timestamp_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TradePrint:
    """A trade, without who traded. `side` is the aggressor's."""

    symbol: str
    trade_id: int
    price: Decimal
    quantity: Decimal
    side: Side
    engine_sequence: int
    timestamp_ns: int


class MarketData(NotCopyable):
    """A subscriber. Make it, `subscribe`, then `poll`: what was received shows only after a poll.

    - An instrument is given by symbol, or by number.
    - `book`, `top` and `trades` give decimal numbers and need `instruments`, those of an OrderEntry.
    - `levels` and the updates that `poll` returns hold integers: price units and lots. With numbers they work without `instruments`.
    - A gap makes a book stale (`is_stale`) and asks for a snapshot until it comes; `gap_count` counts the gaps of all channels.
    - `poll(apply=False)` with `apply_until` moves books to an exact engine sequence.

    Subscribers may share a `context`. The constructor raises EndpointError. A server that is away is waited for, and one that comes back is
    subscribed to again. One thread uses it.
    """

    _use_instead = "a subscriber made in the process that uses it, or what `book`, `top` and `trades` give"

    def __init__(self, endpoint: str, instruments: InstrumentDirectory | None = None, context: Context | None = None) -> None:
        self._where = f"market data from {endpoint}"
        self._instruments = instruments
        self._own_context = Context() if context is None else None
        shared = context or self._own_context
        assert shared is not None, "a context is given or made"
        try:
            self._socket = shared.connect_subscriber(endpoint)
        except BaseException:
            if self._own_context is not None:
                self._own_context.close()
            raise
        self._topics: set[tuple[Channel, int]] = set()
        self._builders: dict[int, BookBuilder] = {}
        self._asked_at: dict[int, float] = {}  # when a snapshot was asked for, of the books that need one
        self._last: dict[tuple[Channel, int], tuple[int, int]] = {}  # epoch and channel sequence of tops and trades
        self._tops: dict[int, np.void] = {}
        self._trades: deque[np.void] = deque()
        self._lost_count = 0

    def __enter__(self) -> MarketData:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<MarketData: {self._where}, {len(self._topics)} subscriptions, {self.gap_count} gaps>"

    @property
    def gap_count(self) -> int:
        """How many times messages were missing, over all subscriptions."""
        return self._lost_count + sum(builder.gap_count for builder in self._builders.values())

    def subscribe(self, *instruments: str | Integer, channels: tuple[Channel, ...] = tuple(Channel)) -> None:
        """Asks for channels of instruments: the current top and levels come at once, trades from now on.

        What is subscribed to already stays as it is.
        """
        for number in [self._number(instrument) for instrument in instruments]:
            for channel in channels:
                if (channel, number) in self._topics:
                    continue
                self._topics.add((channel, number))
                if channel == Channel.LEVELS:
                    self._builders[number] = BookBuilder()
                    self._asked_at[number] = time.monotonic()
                self._socket.subscribe(topic_of(channel, number))

    def unsubscribe(self, *instruments: str | Integer, channels: tuple[Channel, ...] = tuple(Channel)) -> None:
        """Ends subscriptions, and forgets the books and tops that they kept."""
        for number in [self._number(instrument) for instrument in instruments]:
            for topic in [(channel, number) for channel in channels if (channel, number) in self._topics]:
                self._topics.remove(topic)
                self._socket.unsubscribe(topic_of(*topic))
                self._last.pop(topic, None)
                if topic[0] == Channel.TOP:
                    self._tops.pop(number, None)
                elif topic[0] == Channel.LEVELS:
                    self._lost_count += self._builders.pop(number).gap_count
                    self._asked_at.pop(number, None)

    def poll(self, timeout: float = 0.0, *, apply: bool = True) -> list[Update]:
        """Takes what has come, waiting up to `timeout` seconds for a first frame, and returns it frame by frame, in order.

        Without `apply` the levels are kept for `apply_until`. Raises InvalidValueError for a frame that is not the protocol's.
        """
        deadline = time.monotonic() + timeout
        updates: list[Update] = []
        while True:
            while len(updates) < _DRAIN_FRAMES and (frame := self._socket.receive()) is not None:
                update = self._take(frame)
                if update is not None:
                    updates.append(update)
            self._ask_again()
            now = time.monotonic()
            if updates or now >= deadline:
                break
            until = min(deadline, now + _SNAPSHOT_WAIT) if self._asked_at else deadline
            self._socket.wait(until - now)
        if apply:
            for builder in self._builders.values():
                builder.apply()
        return updates

    def apply_until(self, engine_sequence: int) -> None:
        """Moves every book to where it stood after the command `engine_sequence`, as far as was received; what is later stays queued."""
        for builder in self._builders.values():
            builder.apply(engine_sequence)

    def synchronize(self, timeout: float = 5.0) -> None:
        """Polls until no book is stale and every top subscribed to is known. Raises TimedOut after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while missing := self._missing():
            if time.monotonic() >= deadline:
                raise TimedOut("snapshots", where=self._where, found=f"none for {one_of(missing)}", allowed=f"all within {timeout} s")
            self.poll(deadline - time.monotonic())

    def is_stale(self, instrument: str | Integer) -> bool:
        """Whether the instrument's book misses updates."""
        return self._builder(instrument).is_stale

    def book(self, instrument: str | Integer, depth: int | None = None) -> Book:
        """The best `depth` levels of both sides (None for all), as of the last poll."""
        return self._builder(instrument).book(self._instrument(self._number(instrument)), depth)

    def levels(self, instrument: str | Integer, side: Side, depth: int | None = None) -> list[tuple[int, int, int]]:
        """Price in price units, lots and number of orders of the best `depth` levels of a side (None for all), best first."""
        return self._builder(instrument).levels(side, depth)

    def top(self, instrument: str | Integer) -> Top | None:
        """The best bid and ask as of the last poll; None when nothing has come."""
        number = self._number(instrument)
        self._require(Channel.TOP, number)
        row = self._tops.get(number)
        if row is None:
            return None
        listed = self._instrument(number)
        return Top(
            symbol=listed.symbol,
            bid_price=None if row["bid_price"] == NULL_VALUE else listed.price(int(row["bid_price"])),
            bid_quantity=listed.quantity(int(row["bid_quantity"])),
            ask_price=None if row["ask_price"] == NULL_VALUE else listed.price(int(row["ask_price"])),
            ask_quantity=listed.quantity(int(row["ask_quantity"])),
            engine_sequence=int(row["engine_sequence"]),
            timestamp_ns=int(row["timestamp_ns"]),
        )

    def trades(self) -> Iterator[TradePrint]:
        """The trades received by the polls so far, oldest first, each once."""
        while self._trades:
            row = self._trades.popleft()
            listed = self._instrument(int(row["instrument"]))
            yield TradePrint(
                symbol=listed.symbol,
                trade_id=int(row["trade_id"]),
                price=listed.price(int(row["price"])),
                quantity=listed.quantity(int(row["quantity"])),
                side=Side(int(row["side"])),
                engine_sequence=int(row["engine_sequence"]),
                timestamp_ns=int(row["timestamp_ns"]),
            )

    def close(self) -> None:
        """Closes. Closing twice does nothing."""
        self._socket.close(0)
        if self._own_context is not None:
            self._own_context.close()

    def _take(self, frame: bytes) -> Update | None:
        channel, number = read_topic(frame)
        if (channel, number) not in self._topics:
            return None  # was on its way when its subscription ended
        parts = split_frame(frame)
        template = _TEMPLATES[channel]
        if template not in parts or (len(parts) > 1 and channel != Channel.LEVELS):
            raise InvalidValueError("template", where=f"{self._where}, channel {channel.name}", found=list(parts), allowed=str(template))
        messages = parts[template]
        if channel == Channel.LEVELS:
            self._builders[number].take(parts)
            if not self._builders[number].needs_snapshot:
                self._asked_at.pop(number, None)
            elif number not in self._asked_at:
                self._ask(number)
        elif channel == Channel.TOP:
            self._count(channel, number, messages)
            self._tops[number] = messages[-1]
        else:
            self._count(channel, number, messages)
            if self._instruments is not None:
                self._trades.extend(messages)
        return Update(channel=channel, instrument=number, messages=messages, is_snapshot=_LEVEL_SNAPSHOT in parts)

    def _count(self, channel: Channel, number: int, messages: Messages) -> None:
        """Counts a gap where the sequence jumps or the epoch changes. A top sent again, for a new subscriber, keeps its sequence."""
        first, last = int(messages["channel_sequence"][0]), int(messages["channel_sequence"][-1])
        epoch = int(messages["epoch"][0])
        known = self._last.get((channel, number))
        self._last[channel, number] = (epoch, last)
        is_whole = last - first == len(messages) - 1
        if not is_whole or (known is not None and (epoch != known[0] or not known[1] <= first <= known[1] + 1)):
            self._lost_count += 1

    def _ask(self, number: int) -> None:
        """Asks for a snapshot of the levels: that is what a new subscription does."""
        topic = topic_of(Channel.LEVELS, number)
        self._socket.unsubscribe(topic)
        self._socket.subscribe(topic)
        self._asked_at[number] = time.monotonic()

    def _ask_again(self) -> None:
        now = time.monotonic()
        for number in [number for number, asked_at in self._asked_at.items() if now - asked_at >= _SNAPSHOT_WAIT]:
            self._ask(number)

    def _missing(self) -> list[int]:
        stale = {number for number, builder in self._builders.items() if builder.is_stale}
        return sorted(stale | {number for channel, number in self._topics if channel == Channel.TOP and number not in self._tops})

    def _builder(self, instrument: str | Integer) -> BookBuilder:
        number = self._number(instrument)
        self._require(Channel.LEVELS, number)
        return self._builders[number]

    def _require(self, channel: Channel, number: int) -> None:
        if (channel, number) not in self._topics:
            subscribed = [known for kind, known in sorted(self._topics) if kind == channel]
            allowed = one_of(subscribed, "none: subscribe first")
            raise InvalidValueError("instrument", where=f"channel {channel.name}", found=number, allowed=allowed)

    def _number(self, instrument: str | Integer) -> int:
        if isinstance(instrument, str):
            return self._directory(instrument).number(instrument)
        return integer_of(instrument, "instrument", 1, 2**32 - 1)

    def _instrument(self, number: int) -> Instrument:
        listed = self._directory(number).by_number.get(number)
        if listed is None:
            raise InvalidValueError("instrument", where=self._where, found=number, allowed="the instruments of the logon")
        return listed

    def _directory(self, instrument: str | Integer) -> InstrumentDirectory:
        if self._instruments is None:
            raise InvalidValueError("instrument", where=self._where, found=instrument, allowed="numbers only: made without `instruments`")
        return self._instruments
