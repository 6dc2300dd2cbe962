"""The book of one instrument, built from the levels channel of the feed.

The stream is a snapshot (all levels, and the channel sequence that it includes), then updates that count up by one. The rules:

- Updates up to the snapshot's sequence are ignored: the snapshot includes them.
- A snapshot is ignored while nothing is missing: it was sent for somebody else.
- A jump of the sequence, or another epoch, means that updates are missing: what comes is ignored until a snapshot comes.

What was received is kept in a queue until it is applied, so that a book can stand exactly at an engine sequence. One thread uses a builder.
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
    SCHEMA_ID,
    SCHEMA_VERSION,
    TEMPLATES,
    TOP_OF_BOOK_MESSAGE,
)
from ome.enums import Side
from ome.errors import InvalidValueError, InvariantError
from ome.instruments import Instrument
from ome.marketdata.channels import TOPIC_SIZE

__all__ = ["Book", "BookBuilder", "BookLevel", "Messages", "split_frame"]

Messages = npt.NDArray[np.void]
"""A one-dimensional array of messages of one template."""

MESSAGE_SIZE = TOP_OF_BOOK_MESSAGE.itemsize  # the same for all market data
_SNAPSHOT_TEMPLATE = 163
_UPDATE_TEMPLATE = 162


@dataclass(frozen=True, slots=True, kw_only=True)
class BookLevel:
    """One price of a book: the quantity there and how many orders it is."""

    price: Decimal
    quantity: Decimal
    order_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """Levels of an instrument, best first. A stale one misses updates, and will be made good by the next snapshot."""

    bids: tuple[BookLevel, ...] = ()
    asks: tuple[BookLevel, ...] = ()
    engine_sequence: int = 0
    is_stale: bool = False

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
    if not 160 <= template <= 163 or (headers[start:stop] != expected).any():
        found = next(tuple(h) for h in headers[start:stop].tolist() if tuple(h) != expected or not 160 <= template <= 163)
        raise InvalidValueError("message header", where="frame of market data", found=found, allowed=f"{expected}, template 160 to 163")
    return np.frombuffer(frame, TEMPLATES[template][2], count=stop - start, offset=TOPIC_SIZE + start * MESSAGE_SIZE)


class BookBuilder:
    """Builds the book of one instrument.

    - `take` takes the messages of a frame, `apply` brings the book up to date, `levels` and `book` show it.
    - `needs_snapshot`: updates are missing from what was received; `is_stale`: from what was applied. `gap_count` counts how often.
    - `check` asserts what always holds.
    """

    def __init__(self) -> None:
        self.needs_snapshot = True
        self.is_stale = True
        self.gap_count = 0
        self.epoch = 0
        self.channel_sequence = 0
        """Last update received, or included in a snapshot received."""
        self.engine_sequence = 0
        """Command of the last update applied; the book includes all up to it."""
        self._queue: deque[Messages | _Snapshot | _Gap] = deque()
        self._bids: SortedDict[int, tuple[int, int]] = SortedDict()
        self._asks: SortedDict[int, tuple[int, int]] = SortedDict()

    def take(self, parts: dict[int, Messages]) -> None:
        """Takes the messages of one frame, as `split_frame` gives them. Raises InvalidValueError for a frame of another channel."""
        if _UPDATE_TEMPLATE not in parts:
            raise InvalidValueError("template", where="levels channel", found=list(parts), allowed="162, 163")
        if _SNAPSHOT_TEMPLATE in parts:
            self._take_snapshot(parts[_SNAPSHOT_TEMPLATE][0], parts[_UPDATE_TEMPLATE])
        elif not self.needs_snapshot:
            self._take_updates(parts[_UPDATE_TEMPLATE])

    def apply(self, engine_sequence: int | None = None) -> None:
        """Applies what was received, up to and including the command `engine_sequence`; None for all. What is later stays queued."""
        while self._queue:
            head = self._queue[0]
            if isinstance(head, _Gap):
                self.is_stale = True
            elif isinstance(head, _Snapshot):
                if engine_sequence is not None and head.engine_sequence > engine_sequence:
                    return
                self._bids.clear()
                self._asks.clear()
                self._apply_rows(head.rows)
                self.engine_sequence, self.is_stale = head.engine_sequence, False
            else:
                sequences = head["engine_sequence"]
                count = len(head) if engine_sequence is None else int(np.searchsorted(sequences, engine_sequence, side="right"))
                if count > 0:
                    self._apply_rows(head[:count])
                    self.engine_sequence = int(sequences[count - 1])
                if count < len(head):
                    self._queue[0] = head[count:]
                    return
            self._queue.popleft()

    def levels(self, side: Side, depth: int | None = None) -> list[tuple[int, int, int]]:
        """Price in price units, lots and number of orders of the best `depth` levels (None for all), best first."""
        levels = self._bids.items() if side == Side.BUY else self._asks.items()
        ordered = reversed(levels) if side == Side.BUY else iter(levels)
        return [(price, quantity, count) for price, (quantity, count) in islice(ordered, depth)]

    def book(self, instrument: Instrument, depth: int | None = None) -> Book:
        """The best `depth` levels of both sides (None for all) in the instrument's decimal numbers."""

        def side(side: Side) -> tuple[BookLevel, ...]:
            return tuple(
                BookLevel(price=instrument.price(price), quantity=instrument.quantity(lots), order_count=count)
                for price, lots, count in self.levels(side, depth)
            )

        return Book(bids=side(Side.BUY), asks=side(Side.SELL), engine_sequence=self.engine_sequence, is_stale=self.is_stale)

    def check(self) -> None:
        """Raises InvariantError unless every level holds something and, where the book is not stale, the best bid is below the best ask."""
        for side in (Side.BUY, Side.SELL):
            empty = [level for level in self.levels(side) if level[1] <= 0 or level[2] <= 0]
            if empty:
                raise InvariantError("levels", where=side.name, found=empty, allowed="a quantity and an order count above 0")
        if not self.is_stale and self._bids and self._asks and self._bids.peekitem(-1)[0] >= self._asks.peekitem(0)[0]:
            raise InvariantError("best bid and ask", found=(self._bids.peekitem(-1), self._asks.peekitem(0)), allowed="bid below ask")

    def _take_snapshot(self, header: np.void, rows: Messages) -> None:
        if int(header["level_count"]) != len(rows):
            raise InvalidValueError("level_count", where="LevelSnapshot", found=int(header["level_count"]), allowed=str(len(rows)))
        sequence, epoch = int(header["channel_sequence"]), int(header["epoch"])
        if not self.needs_snapshot:
            if epoch == self.epoch and sequence <= self.channel_sequence:
                return  # sent for somebody else
            self._lose()
        self._queue.append(_Snapshot(int(header["engine_sequence"]), rows))
        self.needs_snapshot, self.epoch, self.channel_sequence = False, epoch, sequence

    def _take_updates(self, rows: Messages) -> None:
        sequences = rows["channel_sequence"].astype(np.int64)
        if (rows["epoch"] != self.epoch).any() or (np.diff(sequences) != 1).any() or sequences[0] > self.channel_sequence + 1:
            self._lose()
            return
        rows = rows[max(0, self.channel_sequence + 1 - int(sequences[0])) :]  # without those that the snapshot includes
        if not len(rows):
            return
        self.channel_sequence = int(sequences[-1])
        self._queue.append(rows)

    def _lose(self) -> None:
        self.needs_snapshot = True
        self.gap_count += 1
        self._queue.append(_Gap())

    def _apply_rows(self, rows: Messages) -> None:
        columns = (rows["side"].tolist(), rows["price"].tolist(), rows["quantity"].tolist(), rows["order_count"].tolist())
        for side, price, quantity, order_count in zip(*columns, strict=True):
            levels = self._bids if side == Side.BUY else self._asks
            if quantity:
                levels[price] = (quantity, order_count)
            else:
                levels.pop(price, None)


assert MESSAGE_SIZE == LEVEL_UPDATE_MESSAGE.itemsize == LEVEL_SNAPSHOT_MESSAGE.itemsize, "market data is cut into messages of one size"
