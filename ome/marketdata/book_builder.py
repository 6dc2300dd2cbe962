"""The book of one instrument, built from the levels channel of the feed.

The stream is a snapshot (all levels, and the channel sequence that it includes), then updates that count up by one. The rules:

- Updates up to the snapshot's sequence are ignored: the snapshot includes them.
- A snapshot is ignored while nothing is missing: it was sent for somebody else.
- A jump of the sequence, or another epoch, means that updates are missing: the builder ignores updates until a snapshot
  comes.
- A snapshot may leave out the worst levels of a side. Its worst price is then a boundary. Levels up to it are known,
  and the updates keep them right. Updates beyond it are ignored: there may be unknown levels between them and the
  boundary. When fewer than half of the snapshot's levels are left, the builder requests a new snapshot; when none is
  left, the best level is unknown and the book is stale.

Received messages stay in a queue until they are applied, so that a book can be exactly at one engine sequence. One
thread uses a builder.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice

import numpy as np
import numpy.typing as npt
from sortedcontainers import SortedDict

from ome.codec.layouts import (
    HEADER_SIZE,
    LEVEL_SNAPSHOT_MESSAGE,
    LEVEL_UPDATE_MESSAGE,
    MESSAGE_CLASSES,
    SCHEMA_ID,
    SCHEMA_VERSION,
    TEMPLATE_IDS,
    TEMPLATES,
    TOP_OF_BOOK_MESSAGE,
)
from ome.enums import MessageClass, Side
from ome.errors import InvalidValueError, InvariantError
from ome.instruments import Instrument
from ome.marketdata.channels import TOPIC_SIZE

__all__ = ["Book", "BookBuilder", "BookLevel", "Messages", "split_frame"]

Messages = npt.NDArray[np.void]
"""A one-dimensional array of messages of one template."""

MESSAGE_SIZE = TOP_OF_BOOK_MESSAGE.itemsize  # the same for all market data
_TEMPLATES = sorted(template for template, sent in MESSAGE_CLASSES.items() if sent is MessageClass.MARKET_DATA)
_SNAPSHOT_TEMPLATE = TEMPLATE_IDS["LevelSnapshot"]
_UPDATE_TEMPLATE = TEMPLATE_IDS["LevelUpdate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BookLevel:
    """One price of a book: the quantity there and how many orders it is."""

    price: Decimal
    quantity: Decimal
    order_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """Levels of an instrument, best first. A stale one misses updates, and will be made good by the next snapshot.

    `bids_left_out` and `asks_left_out` count the levels that the last snapshot left out, all worse than those here; 0: all are here.
    """

    bids: tuple[BookLevel, ...] = ()
    asks: tuple[BookLevel, ...] = ()
    engine_sequence: int = 0
    is_stale: bool = False
    bids_left_out: int = 0
    asks_left_out: int = 0

    @property
    def is_partial(self) -> bool:
        """Whether the feed left levels out: what is here is right, and there are worse ones."""
        return self.bids_left_out > 0 or self.asks_left_out > 0

    @property
    def best_bid(self) -> BookLevel | None:
        """The highest bid, or None."""
        return self.bids[0] if self.bids else None

    @property
    def best_ask(self) -> BookLevel | None:
        """The lowest ask, or None."""
        return self.asks[0] if self.asks else None


@dataclass(frozen=True, slots=True)
class _Snapshot:
    engine_sequence: int
    rows: Messages
    left_out: tuple[int, int]
    """Levels of bids and asks that it does not have."""


class _Side:
    """One side of a book: the levels that are known, and where that ends."""

    def __init__(self, side: Side) -> None:
        self._sign = -1 if side == Side.BUY else 1  # a key is the smaller, the better
        self.levels: SortedDict[int, tuple[int, int]] = SortedDict()
        self.left_out = 0
        self._snapshot_count = 0
        self._boundary: int | None = None  # the worst key that is known; None where nothing is

    def clear(self) -> None:
        """No level, and none left out."""
        self.levels.clear()
        self.left_out = 0

    def leave_out(self, count: int) -> None:
        """The levels are those of a snapshot that left out so many worse ones."""
        self.left_out = count
        self._snapshot_count = len(self.levels)
        self._boundary = self.levels.peekitem(-1)[0] if self.levels else None

    def set(self, price: int, quantity: int, order_count: int) -> None:
        """A level is now so; what is beyond the boundary is left alone."""
        key = self._sign * price
        if self.left_out and (self._boundary is None or key > self._boundary):
            return
        if quantity:
            self.levels[key] = (quantity, order_count)
        else:
            self.levels.pop(key, None)

    def best(self, depth: int | None = None) -> list[tuple[int, int, int]]:
        """Price, quantity and number of orders, best first."""
        return [(self._sign * key, quantity, count) for key, (quantity, count) in islice(self.levels.items(), depth)]

    @property
    def is_thin(self) -> bool:
        """Whether levels were left out, and fewer than half of those that were not are left."""
        return self.left_out > 0 and (not self.levels or 2 * len(self.levels) < self._snapshot_count)

    @property
    def is_best_unknown(self) -> bool:
        """Whether only levels that were left out may be there."""
        return self.left_out > 0 and not self.levels


class _Gap:
    """Stands in the queue where updates are missing."""


def split_frame(frame: bytes) -> dict[int, Messages]:
    """The messages of a frame of market data by template id, without its topic; a view, not a copy.

    Raises InvalidValueError where the frame is not whole, is empty, or holds what does not belong into market data.
    """
    size = len(frame) - TOPIC_SIZE
    if size <= 0 or size % MESSAGE_SIZE:
        raise InvalidValueError(
            "size of a frame of market data", found=len(frame), allowed=f"{TOPIC_SIZE} and a multiple of {MESSAGE_SIZE} bytes"
        )
    headers = np.frombuffer(frame, "<u2", offset=TOPIC_SIZE).reshape(-1, MESSAGE_SIZE // 2)[:, :4]
    first = int(headers[0, 1])
    start, parts = 0, {}
    if first == _SNAPSHOT_TEMPLATE:
        parts[first] = _checked(frame, headers, 0, 1, first)
        start, first = 1, _UPDATE_TEMPLATE
    parts[first] = _checked(frame, headers, start, len(headers), first)
    return parts


def _checked(frame: bytes, headers: npt.NDArray[np.uint16], start: int, stop: int, template: int) -> Messages:
    expected = (MESSAGE_SIZE - HEADER_SIZE, template, SCHEMA_ID, SCHEMA_VERSION)
    if template not in _TEMPLATES or (headers[start:stop] != expected).any():
        found = next(tuple(h) for h in headers[start:stop].tolist() if tuple(h) != expected or template not in _TEMPLATES)
        raise InvalidValueError(
            "message header", where="frame of market data", found=found, allowed=f"{expected}, template {_TEMPLATES[0]} to {_TEMPLATES[-1]}"
        )
    return np.frombuffer(frame, TEMPLATES[template][2], count=stop - start, offset=TOPIC_SIZE + start * MESSAGE_SIZE)


class BookBuilder:
    """Builds the book of one instrument.

    - `take` takes the messages of a frame, `apply` brings the book up to date, `levels` and `book` show it.
    - `needs_snapshot`: updates are missing from what was received; `is_stale`: from what was applied, or the best of a side is unknown.
      `gap_count` counts how often updates were missing.
    - `wants_snapshot`: one is needed, or would show levels that are unknown where few are left.
    - `lose` says that updates were missed; `queued_count` counts those received and not applied, and `drop_queue` drops them.
    - `check` asserts what always holds.
    """

    def __init__(self) -> None:
        self.needs_snapshot = True
        self.gap_count = 0
        self.epoch = 0
        self.channel_sequence = 0
        """Last update received, or included in a snapshot received."""
        self.engine_sequence = 0
        """Command of the last update applied; the book includes all up to it."""
        self.queued_count = 0
        self._misses_updates = True  # in what was applied
        self._has_partial = False  # the last snapshot received left levels out
        self._queue: deque[Messages | _Snapshot | _Gap] = deque()
        self._bids = _Side(Side.BUY)
        self._asks = _Side(Side.SELL)

    @property
    def is_stale(self) -> bool:
        """Whether the book misses updates, or has only levels that a snapshot left out on a side."""
        return self._misses_updates or self._bids.is_best_unknown or self._asks.is_best_unknown

    @property
    def wants_snapshot(self) -> bool:
        """Whether a snapshot is to be asked for."""
        return self.needs_snapshot or self._bids.is_thin or self._asks.is_thin

    def take(self, parts: dict[int, Messages]) -> None:
        """Takes the messages of one frame, as `split_frame` gives them. Raises InvalidValueError for a frame of another channel."""
        if _UPDATE_TEMPLATE not in parts:
            raise InvalidValueError(
                "template", where="levels channel", found=list(parts), allowed=f"{_UPDATE_TEMPLATE}, {_SNAPSHOT_TEMPLATE}"
            )
        if _SNAPSHOT_TEMPLATE in parts:
            self._take_snapshot(parts[_SNAPSHOT_TEMPLATE][0], parts[_UPDATE_TEMPLATE])
        elif not self.needs_snapshot:
            self._take_updates(parts[_UPDATE_TEMPLATE])

    def apply(self, engine_sequence: int | None = None) -> None:
        """Applies what was received, up to and including the command `engine_sequence`; None for all. What is later stays queued."""
        while self._queue:
            head = self._queue[0]
            if isinstance(head, _Gap):
                self._misses_updates = True
            elif isinstance(head, _Snapshot):
                if engine_sequence is not None and head.engine_sequence > engine_sequence:
                    return
                self._bids.clear()
                self._asks.clear()
                self._apply_rows(head.rows)
                self._bids.leave_out(head.left_out[0])
                self._asks.leave_out(head.left_out[1])
                self.engine_sequence, self._misses_updates = head.engine_sequence, False
                self.queued_count -= len(head.rows)
            else:
                sequences = head["engine_sequence"]
                count = len(head) if engine_sequence is None else int(np.searchsorted(sequences, engine_sequence, side="right"))
                if count > 0:
                    self._apply_rows(head[:count])
                    self.engine_sequence = int(sequences[count - 1])
                    self.queued_count -= count
                if count < len(head):
                    self._queue[0] = head[count:]
                    return
            self._queue.popleft()

    def levels(self, side: Side, depth: int | None = None) -> list[tuple[int, int, int]]:
        """Price in price units, lots and number of orders of the best `depth` levels (None for all), best first."""
        return (self._bids if side == Side.BUY else self._asks).best(depth)

    def book(self, instrument: Instrument, depth: int | None = None) -> Book:
        """The best `depth` levels of both sides (None for all) in the instrument's decimal numbers."""

        def levels(side: Side) -> tuple[BookLevel, ...]:
            return tuple(
                BookLevel(price=instrument.price(price), quantity=instrument.quantity(lots), order_count=count)
                for price, lots, count in self.levels(side, depth)
            )

        return Book(
            bids=levels(Side.BUY),
            asks=levels(Side.SELL),
            engine_sequence=self.engine_sequence,
            is_stale=self.is_stale,
            bids_left_out=self._bids.left_out,
            asks_left_out=self._asks.left_out,
        )

    def lose(self) -> None:
        """Updates were missed: what comes is ignored until a snapshot comes. Counts a gap, unless nothing is known since the last one."""
        if self.needs_snapshot:
            return
        self.needs_snapshot = True
        self.gap_count += 1
        self._queue.append(_Gap())

    def drop_queue(self) -> None:
        """Drops the updates that were received and not applied. A gap."""
        self.lose()
        self._queue = deque([_Gap()])
        self.queued_count = 0

    def check(self) -> None:
        """Raises InvariantError unless every level holds something and, where the book is not stale, the best bid is below the best ask."""
        for side in (Side.BUY, Side.SELL):
            empty = [level for level in self.levels(side) if level[1] <= 0 or level[2] <= 0]
            if empty:
                raise InvariantError("levels", where=side.name, found=empty, allowed="a quantity and an order count above 0")
        best_bid, best_ask = self._bids.best(1), self._asks.best(1)
        if not self.is_stale and best_bid and best_ask and best_bid[0][0] >= best_ask[0][0]:
            raise InvariantError("best bid and ask", found=(best_bid[0], best_ask[0]), allowed="bid below ask")

    def _take_snapshot(self, header: np.void, rows: Messages) -> None:
        if int(header["level_count"]) != len(rows):
            raise InvalidValueError("level_count", where="LevelSnapshot", found=int(header["level_count"]), allowed=str(len(rows)))
        sequence, epoch = int(header["channel_sequence"]), int(header["epoch"])
        left_out = (int(header["bids_left_out"]), int(header["asks_left_out"]))
        if not self.needs_snapshot and (epoch != self.epoch or sequence > self.channel_sequence):
            self.lose()
        if not self.needs_snapshot and not (self._has_partial and sequence == self.channel_sequence):
            return  # sent for somebody else
        self._queue.append(_Snapshot(int(header["engine_sequence"]), rows, left_out))
        self.queued_count += len(rows)
        self._has_partial = any(left_out)
        self.needs_snapshot, self.epoch, self.channel_sequence = False, epoch, sequence

    def _take_updates(self, rows: Messages) -> None:
        sequences = rows["channel_sequence"].astype(np.int64)
        if (rows["epoch"] != self.epoch).any() or (np.diff(sequences) != 1).any() or sequences[0] > self.channel_sequence + 1:
            self.lose()
            return
        rows = rows[max(0, self.channel_sequence + 1 - int(sequences[0])) :]  # without those that the snapshot includes
        if not len(rows):
            return
        self.channel_sequence = int(sequences[-1])
        self._queue.append(rows)
        self.queued_count += len(rows)

    def _apply_rows(self, rows: Messages) -> None:
        columns = (rows["side"].tolist(), rows["price"].tolist(), rows["quantity"].tolist(), rows["order_count"].tolist())
        buy, set_bid, set_ask = int(Side.BUY), self._bids.set, self._asks.set
        for side, price, quantity, order_count in zip(*columns, strict=True):
            (set_bid if side == buy else set_ask)(price, quantity, order_count)


assert MESSAGE_SIZE == LEVEL_UPDATE_MESSAGE.itemsize == LEVEL_SNAPSHOT_MESSAGE.itemsize, "market data is cut into messages of one size"
