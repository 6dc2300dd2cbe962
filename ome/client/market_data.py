"""Market data: subscriptions, books that are kept up to date, tops and trades."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from decimal import Decimal
from types import TracebackType

import numpy as np

from ome.client.awaited import ASK_PAUSE_S, Awaited, Topic
from ome.client.directory import InstrumentDirectory
from ome.client.errors import TimedOut
from ome.codec import SideName, side_of
from ome.codec.layouts import TEMPLATE_IDS
from ome.enums import Side
from ome.errors import InvalidValueError, NotCopyable, one_of
from ome.instruments import Instrument
from ome.keys import ClientKeys
from ome.marketdata import Book, BookBuilder, Channel, read_topic, split_frame, topic_of
from ome.marketdata.book_builder import Messages
from ome.messages import NULL_VALUE
from ome.transport import Context, why_no_connection
from ome.units import Integer, integer_of

__all__ = ["MarketData", "Top", "TradePrint", "Update"]

_DRAIN_FRAMES = 1_000  # received in a row before the caller gets its turn,
_DRAIN_MESSAGES = 100_000  # or so many messages in them
_QUEUE_FRAMES_MAX = 20_000  # more than the socket holds
_LEVEL_SNAPSHOT = TEMPLATE_IDS["LevelSnapshot"]
_TEMPLATES = {
    Channel.TOP: TEMPLATE_IDS["TopOfBook"],
    Channel.TRADES: TEMPLATE_IDS["TradePrint"],
    Channel.LEVELS: TEMPLATE_IDS["LevelUpdate"],
}


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
    - A gap makes a book stale (`is_stale`) and asks for a snapshot until it comes; `gap_count` counts the gaps of all channels. A lost
      connection is a gap of everything, and so is a new epoch: a server that has started again. A `top` is then None until it comes again.
    - A book that `is_partial` has the best levels only, because the server leaves out what is far from the best. What it shows is right.
    - What is not read is dropped, oldest first: of trades `trades_kept` are kept, and `trades_dropped` counts the others. Of updates that
      wait for `apply_until`, `updates_kept` are kept; the book of one that finds no room is stale until a snapshot comes, with a gap.
    - `poll(apply=False)` with `apply_until` moves books to an exact engine sequence.

    With `keys` (ome.keys) the connection is encrypted; a server that has keys takes no other connection.

    Subscribers may share a `context`. The constructor raises EndpointError and InvalidValueError. A server that is away is waited for, and
    one that comes back is subscribed to again. A machine that is dead is noticed after some 20 seconds. One thread uses it.
    """

    _use_instead = "a subscriber made in the process that uses it, or what `book`, `top` and `trades` give"

    def __init__(
        self,
        endpoint: str,
        instruments: InstrumentDirectory | None = None,
        context: Context | None = None,
        *,
        trades_kept: int = 100_000,
        updates_kept: int = 1_000_000,
        keys: ClientKeys | None = None,
    ) -> None:
        for name, value in (("trades_kept", trades_kept), ("updates_kept", updates_kept)):
            if value < 1:
                raise InvalidValueError(name, found=value, allowed="1 or more")
        self._where = f"market data from {endpoint}"
        self._endpoint = endpoint
        self._instruments = instruments
        self._own_context = Context() if context is None else None
        shared = context or self._own_context
        assert shared is not None, "a context is given or made"
        try:
            self._socket = shared.connect_subscriber(endpoint, keys=keys)
        except BaseException:
            if self._own_context is not None:
                self._own_context.close()
            raise
        self._topics: set[Topic] = set()
        self._builders: dict[int, BookBuilder] = {}
        self._unapplied: set[int] = set()  # whose books have updates to apply
        self._unapplied_count = 0  # updates
        self._updates_kept = updates_kept
        self._awaited = Awaited()
        self._connection_count = 0
        self._loss_count = 0
        self._epoch: int | None = None
        self._last: dict[Topic, int] = {}  # channel sequence of tops and trades
        self._tops: dict[int, np.void] = {}
        self._trades: deque[np.void] = deque()
        self._trades_kept = trades_kept
        self.trades_dropped = 0
        """Trades that nobody read in time."""
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
                if channel != Channel.TRADES:
                    self._awaited.note_asked((channel, number), time.monotonic())
                self._socket.subscribe(topic_of(channel, number))

    def unsubscribe(self, *instruments: str | Integer, channels: tuple[Channel, ...] = tuple(Channel)) -> None:
        """Ends subscriptions, and forgets the books and tops that they kept."""
        for number in [self._number(instrument) for instrument in instruments]:
            for topic in [(channel, number) for channel in channels if (channel, number) in self._topics]:
                self._topics.remove(topic)
                self._socket.unsubscribe(topic_of(*topic))
                self._last.pop(topic, None)
                self._awaited.forget(topic)
                if topic[0] == Channel.TOP:
                    self._tops.pop(number, None)
                elif topic[0] == Channel.LEVELS:
                    builder = self._builders.pop(number)
                    self._lost_count += builder.gap_count
                    self._unapplied.discard(number)
                    self._unapplied_count -= builder.queued_count

    def poll(self, timeout: float = 0.0, *, apply: bool = True) -> list[Update]:
        """Takes what has come, waiting up to `timeout` seconds for a first frame, and returns it frame by frame, in order.

        Without `apply` the levels are kept for `apply_until`. Raises InvalidValueError for a frame that is not the protocol's.
        """
        deadline = time.monotonic() + timeout
        updates: list[Update] = []
        while True:
            self._notice_connection(updates, apply)
            self._drain(updates, _DRAIN_FRAMES, apply)
            self._ask_again()
            now = time.monotonic()
            if updates or now >= deadline:
                break
            until = min(deadline, now + ASK_PAUSE_S) if self._awaited and self._socket.is_connected else deadline
            self._socket.wait(until - now)
        if apply:
            self._apply()
        return updates

    def apply_until(self, engine_sequence: int) -> None:
        """Moves every book to where it stood after the command `engine_sequence`, as far as was received; what is later stays queued."""
        self._apply(engine_sequence)

    def synchronize(self, timeout: float = 5.0) -> None:
        """Polls until no book is stale and every top subscribed to is known. Raises TimedOut after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while missing := self._missing():
            if time.monotonic() >= deadline:
                raise TimedOut("snapshots", where=self._where, found=self._why_missing(missing), allowed=f"all within {timeout} s")
            self.poll(deadline - time.monotonic())

    def is_stale(self, instrument: str | Integer) -> bool:
        """Whether the instrument's book misses updates."""
        return self._builder(instrument).is_stale

    def book(self, instrument: str | Integer, depth: Integer | None = None) -> Book:
        """The best `depth` levels of both sides (None for all), as of the last poll."""
        return self._builder(instrument).book(self._instrument(self._number(instrument)), _depth(depth))

    def levels(self, instrument: str | Integer, side: SideName | Side, depth: Integer | None = None) -> list[tuple[int, int, int]]:
        """Price in price units, lots and number of orders of the best `depth` levels of a side (None for all), best first."""
        return self._builder(instrument).levels(side_of(side), _depth(depth))

    def top(self, instrument: str | Integer) -> Top | None:
        """The best bid and ask as of the last poll; None when nothing has come, or nothing since the connection was lost."""
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
        if self._instruments is None:
            raise InvalidValueError("instruments", where=self._where, found="none given", allowed="those of an OrderEntry, for `trades`")
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

    def _notice_connection(self, updates: list[Update], apply: bool) -> None:
        """A connection that broke is a gap of all topics. libzmq makes a new one, and repeats the subscriptions there."""
        self._socket.read_connection()
        losses, connections = self._socket.loss_count, self._socket.connection_count
        if losses != self._loss_count:
            self._drain(updates, _QUEUE_FRAMES_MAX, apply)  # what came over the old connection must not heal what follows
            self._loss_count = losses
            self._lose([topic for topic in self._topics if topic[0] != Channel.LEVELS])
        if connections != self._connection_count:
            self._connection_count = connections
            self._awaited.note_all_asked(time.monotonic())

    def _drain(self, updates: list[Update], frame_count_max: int, apply: bool) -> None:
        """Takes what has come, up to so many frames."""
        message_count = 0
        for _ in range(frame_count_max):
            frame = self._socket.receive()
            if frame is None:
                return
            update = self._take(frame)
            if update is not None:
                updates.append(update)
                message_count += len(update.messages)
            if self._unapplied_count > self._updates_kept:
                self._make_room(apply)
            if message_count > _DRAIN_MESSAGES and frame_count_max == _DRAIN_FRAMES:
                return

    def _lose(self, topics: Collection[Topic]) -> None:
        """All books are stale and no top is known; a gap for each book, and for each of these topics of other channels."""
        for number, builder in self._builders.items():
            builder.lose()
            self._unapplied.add(number)
        self._lost_count += len(topics)
        self._tops.clear()
        self._last.clear()
        self._awaited.want_only((topic for topic in self._topics if topic[0] != Channel.TRADES), time.monotonic())

    def _take(self, frame: bytes) -> Update | None:
        channel, number = read_topic(frame)
        if (channel, number) not in self._topics:
            return None  # was on its way when its subscription ended
        parts = split_frame(frame)
        template = _TEMPLATES[channel]
        if template not in parts or (len(parts) > 1 and channel != Channel.LEVELS):
            raise InvalidValueError("template", where=f"{self._where}, channel {channel.name}", found=list(parts), allowed=str(template))
        messages = parts[template]
        epoch = int(parts.get(_LEVEL_SNAPSHOT, messages)["epoch"][0])  # a snapshot of an empty book has no messages
        if epoch != self._epoch:
            if self._epoch is not None:
                self._lose(self._last)
            self._epoch = epoch
        if channel == Channel.LEVELS:
            self._take_levels(number, parts)
        else:
            self._count(channel, number, messages)
        if channel == Channel.TOP:
            self._tops[number] = messages[-1]
            self._awaited.forget((channel, number))
        elif channel == Channel.TRADES and self._instruments is not None:
            self._trades.extend(messages)
            while len(self._trades) > self._trades_kept:
                self._trades.popleft()
                self.trades_dropped += 1
        return Update(channel=channel, instrument=number, messages=messages, is_snapshot=_LEVEL_SNAPSHOT in parts)

    def _take_levels(self, number: int, parts: dict[int, Messages]) -> None:
        builder = self._builders[number]
        queued_before = builder.queued_count
        builder.take(parts)
        self._unapplied_count += builder.queued_count - queued_before
        self._unapplied.add(number)
        self._await_levels(number)

    def _await_levels(self, number: int) -> None:
        """Sees to it that a snapshot is asked for where one is wanted."""
        topic = (Channel.LEVELS, number)
        if not self._builders[number].wants_snapshot:
            self._awaited.forget(topic)
        else:
            self._awaited.want(topic, time.monotonic())

    def _apply(self, engine_sequence: int | None = None) -> None:
        """Brings the books up to date, as far as the command `engine_sequence` where one is given."""
        for number in list(self._unapplied):
            builder = self._builders[number]
            queued_before = builder.queued_count
            builder.apply(engine_sequence)
            self._unapplied_count += builder.queued_count - queued_before
            if builder.queued_count == 0:
                self._unapplied.remove(number)
            self._await_levels(number)

    def _make_room(self, apply: bool) -> None:
        """More updates wait than may: applies them, or drops those of the book with the most."""
        if apply:
            self._apply()
            return
        builder = max(self._builders.values(), key=lambda builder: builder.queued_count)
        self._unapplied_count -= builder.queued_count
        builder.drop_queue()
        for number in self._unapplied:
            self._await_levels(number)

    def _count(self, channel: Channel, number: int, messages: Messages) -> None:
        """Counts a gap where the sequence jumps. A top sent again, for a new subscriber, keeps its sequence."""
        first, last = int(messages["channel_sequence"][0]), int(messages["channel_sequence"][-1])
        known = self._last.get((channel, number))
        self._last[channel, number] = last
        if last - first != len(messages) - 1 or (known is not None and not known <= first <= known + 1):
            self._lost_count += 1

    def _ask_again(self) -> None:
        """Asks for some of the tops and snapshots that are due: that is what a new subscription does."""
        if not self._socket.is_connected:
            return
        for topic in self._awaited.take_due(time.monotonic()):
            self._socket.unsubscribe(topic_of(*topic))
            self._socket.subscribe(topic_of(*topic))

    def _why_missing(self, missing: list[int]) -> str:
        if self._socket.connection_count == 0:
            return f"no connection: {why_no_connection(self._endpoint, wants='market data', has_failed=self._socket.has_failed)}"
        return f"none for {one_of(missing)}"

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


def _depth(depth: Integer | None) -> int | None:
    return None if depth is None else integer_of(depth, "depth")
